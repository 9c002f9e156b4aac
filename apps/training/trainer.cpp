#include "apps/training/trainer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include <nlohmann/json.hpp>

#include "apps/models/model_files.hpp"
#include "apps/runs/saved_run.hpp"
#include "apps/training/step_end.hpp"
#include "core/device_remarks.hpp"
#include "data/tokenizers/tokenizer.hpp"
#include "distributed/agreement.hpp"
#include "distributed/checkpoints/parameter_files.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

/// After this many steps, ranks compare what several of them hold a copy of.
constexpr std::int64_t kReplicaCheckEvery = 100;

TrainStepOptions step_options(const RunConfig& config) {
  const RunConfig::Optim& optim = config.optim;
  return {.totals = totals_of(config),
          .recompute = config.train.recompute,
          .adamw = {optim.betas[0], optim.betas[1], optim.eps, optim.weight_decay},
          .decay = optim.decay_norms ? DecayOf::everything : DecayOf::matrices,
          .grad_clip = optim.grad_clip,
          .guard = {config.train.max_skips, config.train.spike_sigma},
          .replica_check_every = kReplicaCheckEvery};
}

LoaderOptions loader_options(const RunConfig& config, const Communicator& ranks, std::int64_t start_sample) {
  return {.seq_len = config.data.seq_len,
          .batch_size = config.train.batch_size,
          .micro_batch_size = config.train.micro_batch_size,
          .start_sample = start_sample,
          .rank = ranks.rank(),
          .world = ranks.size(),
          .mask = DocumentMask{config.data.document_mask}};
}

/// "memory: weights 1.2 MiB, …, 5.0 MiB at the peak". Each category is at its own peak. Memory of the host
/// beside a device has a line of its own.
std::string memory_text(Context& context, Place place) {
  const MemoryTable& memory = context.memory(place);
  const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::string text = place == Place::host ? "memory of the host:" : "memory:";
  for (int i = 0; i < kMemoryCategories; ++i) {
    const auto category = static_cast<MemoryCategory>(i);
    if (memory.peak(category) > 0)
      text += fmt::format(" {} {:.1f} MiB,", name_of(category), mib(memory.peak(category)));
  }
  return text + fmt::format(" {:.1f} MiB at the peak", mib(memory.peak_total()));
}

bool due(std::int64_t step, std::int64_t every) {
  return every > 0 && step % every == 0;
}

}  // namespace

Trainer::Trainer(Context& context, ShardedModel& sharded, const RunConfig& config, const RunData& data,
                 RunDirectory* directory, double peak_flops, std::string job)
    : context_(context),
      sharded_(sharded),
      model_(sharded.model()),
      ranks_(sharded.ranks()),
      config_(config),
      steps_(resolve_steps(config, data.train.samples(config.data.seq_len))),
      data_(data),
      directory_(directory),
      peak_flops_(peak_flops),
      job_(std::move(job)),
      order_(sample_order_of(config)),
      totals_(totals_of(config)),
      step_(context, sharded, step_options(config)),
      tensors_(global_tensors(config.model, config.moe, sharded.parameters().plan().position)) {
  if (directory_ != nullptr)
    checkpoints_.emplace(
        CheckpointOptions{.run_directory = directory->path(),
                          .keep = config.checkpoint.keep,
                          .warn = [this](const std::string& line) { tell("warning: " + line); }});
}

void Trainer::tell(const std::string& line) {
  if (directory_ != nullptr) directory_->log(line);
}

void Trainer::tell_memory() {
  tell(memory_text(context_, Place::device));
  if (context_.runtime() != nullptr) tell(memory_text(context_, Place::host));
}

void Trainer::tell_choices_of_device() {
  std::istringstream remarks(device_remarks(context_.runtime()));
  for (std::string line; std::getline(remarks, line);) tell(line);
}

StepReport Trainer::step_or_tell_memory(std::int64_t n) {
  try {
    return step(n);
  } catch (const Error& error) {
    if (error.code() == ExitCode::out_of_memory) tell_memory();
    throw;
  }
}

MicroBatch Trainer::next_micro_batch() {
  const PhaseTimer timer(context_.profile(), "data");
  return to_micro_batch(context_, loader_->next());
}

StepReport Trainer::step(std::int64_t n) {
  const auto start = std::chrono::steady_clock::now();
  if (config_.log.profile) context_.profile().start();
  StepReport report{.step = n, .lr = learning_rate(steps_.schedule, config_.optim.lr, n)};
  StepResult result = step_.run(n, report.lr, [this] { return next_micro_batch(); });
  report.routers = router_reports(step_.routers(), result.shares);
  report.losses = std::move(result.losses);
  report.grad_norm = result.grad_norm;
  report.verdict = result.verdict;
  report.skips = step_.guard().state().skips;
  finish_report(report, start);
  return report;
}

void Trainer::finish_report(StepReport& report, std::chrono::steady_clock::time_point start) {
  GRANULE_ASSERT(context_.step_memory().in_use() == 0, "step {} left {} bytes of activations behind",
                 report.step, context_.step_memory().in_use());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.tokens = tokens_after(report.step);
  report.tokens_per_second = static_cast<double>(totals_.target_tokens) / report.seconds;
  report.epoch = static_cast<double>(loader_->consumed_samples()) /
                 static_cast<double>(data_.train.samples(config_.data.seq_len));
  if (peak_flops_ > 0.0) {
    const double flops =
        training_flops(config_.model, config_.moe, totals_.target_tokens, config_.data.seq_len);
    report.mfu = model_flops_utilisation(flops, report.seconds, peak_flops_);
  }
  report.peak_bytes = context_.memory().peak_total();
  if (config_.log.profile) report.seconds_by_phase = context_.profile().seconds();
}

nlohmann::ordered_json Trainer::row_of(const StepReport& report) {
  if (!evaluation_due(report.step) && report.verdict == StepVerdict::apply && report.step != steps_.total &&
      !due(report.step, steps_.log_every))
    return {};
  nlohmann::ordered_json row = metrics_row(report);
  means_.put_into(row);
  return row;
}

void Trainer::record(const StepReport& report, nlohmann::ordered_json row) {
  if (directory_ == nullptr) return;
  const std::string text = progress_text(report, steps_.total, pace_);
  if (row.is_null()) return directory_->status(text);
  if (report.evaluation) add_evaluation(row, *report.evaluation);
  directory_->append_metrics(row);
  directory_->log_step(text);
  if (report.evaluation) warn_of_divergence(*report.evaluation);
}

/// For example: "2 ranks of 1 thread, ep 1, ZeRO 3: going on from step-00000040".
std::string Trainer::start_text() const {
  if (complete()) {
    return fmt::format(
        "the run is complete at step {}, and nothing is left to do: train.steps=N with --resume trains it "
        "longer",
        done_);
  }
  std::string text = job_;
  if (ranks_.size() > 1) text += fmt::format(", ep {}, ZeRO {}", config_.parallel.ep, config_.parallel.zero);
  if (done_ == 0) return text + ": from the beginning";
  if (saved_ < 0) return text + fmt::format(": a fork after step {}", done_);
  return text + fmt::format(": going on from {}", checkpoint_name(done_));
}

SignalRequest Trainer::agree_on_request(StopSignals& signals, std::int64_t& peak_bytes) {
  const StepEnd end = agree_on_step_end(ranks_, {signals.take(), peak_bytes});
  peak_bytes = end.peak_bytes;
  return end.request;
}

void Trainer::open_records() {
  if (directory_ == nullptr) return;
  directory_->open_records(
      {model_.moe_layers(), model_.moe().n_routed_experts, begun_.step + 1}, done_,
      config_.log.tensorboard ? RunDirectory::TensorBoard::yes : RunDirectory::TensorBoard::no);
}

void Trainer::save_on_request(StopSignals& signals) {
  if (saved_ != done_) save();
  signals.forget_saves();
}

SignalRequest Trainer::advance(StopSignals& signals, Watchdog& watchdog) {
  signals.enter(StopSignals::Activity::step, done_ + 1);
  StepReport report = step_or_tell_memory(done_ + 1);
  watchdog.step_took(report.seconds);
  SignalRequest request = agree_on_request(signals, report.peak_bytes);
  means_.add(report);
  pace_.add(report.verdict == StepVerdict::apply ? report.losses.ce : std::nan(""));
  last_ce_ = report.losses.ce;
  if (directory_ != nullptr) directory_->append_counts(step_.routers().counts());
  done_ = report.step;
  const nlohmann::ordered_json row = row_of(report);
  const bool evaluates = evaluation_due(done_) && request.stop == 0 && !step_.guard().gives_up();
  row_to_evaluate_ = evaluation_due(done_) ? row.dump() : std::string();
  // The row of a saved step must also be on the disk, or else in the checkpoint.
  if (!evaluates) record(report, row);
  if (step_.guard().gives_up()) give_up(report);
  if (request.save || due(done_, steps_.checkpoint_every) || (complete() && evaluates))
    save_on_request(signals);
  if (!evaluates) return request;
  report.evaluation = evaluate_between_signals(signals, request);
  signals.enter(StopSignals::Activity::step, done_);
  record(report, row);
  if (report.evaluation) row_to_evaluate_.clear();
  return request;
}

int Trainer::run(StopSignals& signals, Watchdog& watchdog) {
  open_records();
  loader_ = std::make_unique<Loader>(data_.train, sampler_of(config_, data_.train, order_),
                                     loader_options(config_, ranks_, samples_after(done_)));
  tell(start_text());
  if (!complete()) {
    for (const std::string& note : notes_) tell(note);
  }
  SignalRequest request = make_up_evaluation(signals);
  const std::int64_t first = done_;
  pace_ = Pace();
  while (!complete() && request.stop == 0) {
    request = advance(signals, watchdog);
    if (done_ == first + 1) {
      tell_memory();
      tell_choices_of_device();
    }
  }
  if (done_ != first && saved_ != done_) save();
  std::int64_t unused = 0;
  if (request.stop == 0) request = agree_on_request(signals, unused);  // requests during the last save
  if (request.stop != 0) {
    tell(saved_ < 0
             ? fmt::format("stopped by a signal before the first step ({})", name_of_signal(request.stop))
             : fmt::format("stopped by a signal after step {} ({}); --resume goes on", done_,
                           name_of_signal(request.stop)));
  }
  return request.stop;
}

void Trainer::give_up(const StepReport& last) const {
  const std::string advice =
      saved_ < 0 ? "there is no checkpoint: start a new run with a lower optim.lr"
                 : "start again from a checkpoint with --init-from and a lower optim.lr; the last one is " +
                       checkpoint_name(saved_);
  // Every rank has counted the same steps, so every rank gets here.
  throw AgreedError(
      ExitCode::non_finite,
      fmt::format(
          "{} steps in a row were skipped (train.max_skips = {}); the last one, step {}, had a loss of "
          "{} and a gradient norm of {}",
          step_.guard().state().skips_in_row, config_.train.max_skips, last.step,
          without_sign_of_nan(last.losses.ce), without_sign_of_nan(last.grad_norm)),
      directory_ != nullptr ? directory_->path().string() : std::string(), advice);
}

nlohmann::json Trainer::sections() const {
  const auto& bos = data_.bos_of_documents;
  nlohmann::json all{{"config", to_json(config_)},
                     {"data", data_.identity},
                     {kDocumentsSection, {{"bos_id", bos ? nlohmann::json(*bos) : nlohmann::json()}}},
                     {kSampleOrderSection, name_of(order_)},
                     {"optimizer", {{"steps", step_.optimizer().steps()}}}};
  add_records_to(all);
  return all;
}

void Trainer::save() {
  ranks_.ledger().begin_phase("checkpoint");
  const ShardedParameters& parameters = sharded_.parameters();
  auto model = gathered_values(parameters, tensors_);
  for (TensorToSave& state : states_to_save(model_.parameters())) model.push_back(std::move(state));
  auto optimizer = gathered(parameters, step_.optimizer().first_moment(), tensors_, "exp_avg.");
  auto second = gathered(parameters, step_.optimizer().second_moment(), tensors_, "exp_avg_sq.");
  optimizer.insert(optimizer.end(), std::make_move_iterator(second.begin()),
                   std::make_move_iterator(second.end()));
  if (checkpoints_) {
    directory_->sync();
    CheckpointContent content{.step = done_,
                              .consumed_samples = samples_after(done_),
                              .sections = sections(),
                              .model = model,
                              .optimizer = optimizer,
                              .before_commit = [this] { ranks_.barrier("commit").wait(); }};
    if (data_.tokenizer) content.extra_files = tokenizer_files(*data_.tokenizer);
    checkpoints_->save(content);
  } else {
    // The other ranks send what rank 0 writes, and wait until the checkpoint is put in place.
    read_as_written(model, CheckpointOptions{}.max_file_bytes);
    read_as_written(optimizer, CheckpointOptions{}.max_file_bytes);
    ranks_.barrier("commit").wait();
  }
  // While rank 0 removes an old checkpoint, the others wait in this phase too.
  ranks_.barrier("saved").wait();
  saved_ = done_;
  tell(line_of_save(done_));
}

void Trainer::resume(const Checkpoint& checkpoint) {
  const auto& saved = checkpoint.sections();
  const std::string source = checkpoint.path().string();
  // This comes first, because other data may bring another vocabulary.
  require_same_data(saved.at("data"), data_, source);
  const RunConfig before = run_config_from_json(saved.at("config"), source);
  check_resumable(before, config_, source);
  order_ = sample_order_of(saved, config_, source);
  load_state(checkpoint);
  take_records_from(saved);
  row_to_evaluate_ = saved.value("row_to_evaluate", std::string());
  done_ = saved_ = checkpoint.step();
  note_learning_rate(before);
  if (checkpoints_) checkpoints_->resumed_from(saved_);
}

}  // namespace granule
