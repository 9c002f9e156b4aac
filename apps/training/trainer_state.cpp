// The trainer's state in checkpoints: what it restores from its own run or from another, and what it saves.
#include <nlohmann/json.hpp>

#include "apps/training/learning_rate_notes.hpp"
#include "apps/training/trainer.hpp"
#include "core/error.hpp"
#include "distributed/checkpoints/parameter_files.hpp"

namespace granule {
namespace {

nlohmann::json to_json(const StepGuardState& state) {
  return {{"skips_in_row", state.skips_in_row},
          {"skips", state.skips},
          {"losses", state.losses},
          {"grad_norms", state.grad_norms}};
}

StepGuardState guard_state_from(const nlohmann::json& saved) {
  return {saved.at("skips_in_row").get<std::int64_t>(), saved.at("skips").get<std::int64_t>(),
          saved.at("losses").get<std::vector<double>>(), saved.at("grad_norms").get<std::vector<double>>()};
}

}  // namespace

void Trainer::load_state(const Checkpoint& checkpoint) {
  sharded_.load(checkpoint.model(), checkpoint.path().string());
  const ParameterStore& store = model_.parameters();
  const ShardPlan& plan = sharded_.parameters().plan();
  load_part(store, plan, step_.optimizer().first_moment(), "exp_avg.", checkpoint.optimizer());
  load_part(store, plan, step_.optimizer().second_moment(), "exp_avg_sq.", checkpoint.optimizer());
  const nlohmann::json& saved = checkpoint.sections();
  step_.optimizer().set_steps(saved.at("optimizer").at("steps").get<std::int64_t>());
  if (saved.contains("step_guard")) step_.guard().set_state(guard_state_from(saved.at("step_guard")));
}

void Trainer::add_records_to(nlohmann::json& sections) const {
  sections["step_guard"] = to_json(step_.guard().state());
  sections["means"] = means_.saved();
  if (!row_to_evaluate_.empty()) sections["row_to_evaluate"] = row_to_evaluate_;
  if (begun_ != RunPosition{}) sections["begun"] = granule::to_json(begun_);
  if (!provenance_.is_null()) sections["provenance"] = provenance_;
}

void Trainer::take_records_from(const nlohmann::json& sections) {
  begun_ = beginning_of(sections);
  if (sections.contains("means")) means_ = StepMeans(sections.at("means"));
}

void Trainer::fork(const Checkpoint& source) {
  const std::string path = source.path().string();
  if (source.step() >= steps_.total) {
    user_error(fmt::format("the fork begins after step {}, and train.steps comes to {}", source.step(),
                           steps_.total),
               path, "raise train.steps: it counts the steps of the source too");
  }
  const RunConfig before = run_config_from_json(source.sections().at("config"), path);
  const std::string reason =
      reason_to_read_anew(before, config_, source.sections().at("data"), data_.identity);
  load_state(source);
  begun_ = fork_position(source, before, !reason.empty());
  done_ = source.step();
  if (reason.empty()) order_ = sample_order_of(source.sections(), config_, path);
  if (!reason.empty()) notes_.push_back(fmt::format("the data are read from their beginning: {}", reason));
  note_learning_rate(before);
}

void Trainer::note_learning_rate(const RunConfig& before) {
  if (const auto jump = learning_rate_jump(before, config_, done_, data_.train.samples(config_.data.seq_len)))
    notes_.push_back(*jump);
}

std::int64_t Trainer::samples_after(std::int64_t step) const {
  return begun_.samples + (step - begun_.step) * config_.train.batch_size;
}

std::int64_t Trainer::tokens_after(std::int64_t step) const {
  return begun_.tokens + (step - begun_.step) * totals_.target_tokens;
}

}  // namespace granule
