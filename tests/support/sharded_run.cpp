#include "tests/support/sharded_run.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "distributed/checkpoints/parameter_files.hpp"
#include "moe/training/train_step.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/small_model.hpp"

namespace granule::test {
namespace {

StepTotals totals_of(const ShardedRunOptions& options) {
  return {options.sequences * kSmallSeq, options.sequences, options.sequences / options.micro};
}

/// One rank's part of the run.
class Rank {
 public:
  Rank(Communicator& ranks, Context& context, const ShardedRunOptions& options, const ShardedCase& of)
      : context_(context),
        options_(options),
        sharded_(context, ranks, of.model, of.moe, options.dtype, options.layout),
        step_(context, sharded_,
              {.totals = totals_of(options),
               .recompute = options.recompute,
               .adamw = {.eps = 1e-6},
               .grad_clip = 0.5,
               .replica_check_every = 1}) {
    sharded_.parameters().initialise(7, of.model.initializer_range);
    if (options.start != nullptr) load(*options.start);
  }

  void step(std::int64_t n, ShardedOutcome& outcome) {
    const std::int64_t micros = totals_of(options_).micro_batches, mine = micros / options_.ranks;
    std::int64_t next = n * micros + sharded_.ranks().rank() * mine;
    const StepResult result = step_.run(n, 3e-3, [&] {
      return small_batch(context_, sharded_.model().config(), options_.micro * next++, options_.micro);
    });
    outcome.ce.push_back(result.losses.ce);
    outcome.aux.push_back(result.losses.aux());
    outcome.device_aux.push_back(result.losses.device_aux());
    outcome.grad_norm.push_back(result.grad_norm);
    const auto counts = step_.routers().counts();
    outcome.counts.emplace_back(counts.begin(), counts.end());
  }

  void read_tensors(ShardedOutcome& outcome) {
    const ShardedParameters& parameters = sharded_.parameters();
    const auto names =
        global_tensors(sharded_.model().config(), sharded_.model().moe(), parameters.plan().position);
    const auto read = [&](const std::vector<TensorToSave>& tensors) {
      for (const TensorToSave& tensor : tensors) outcome.tensors[tensor.spec.name] = values_read(tensor);
    };
    read(gathered_values(parameters, names));
    read(gathered(parameters, step_.optimizer().first_moment(), names, "exp_avg."));
    read(gathered(parameters, step_.optimizer().second_moment(), names, "exp_avg_sq."));
    for (const TensorToSave& state : states_to_save(parameters.store()))
      outcome.tensors[state.spec.name] = values_read(state);
  }

 private:
  void load(const TensorSet& tensors) {
    const ShardedParameters& parameters = sharded_.parameters();
    for (const ArenaPart& part : parameters.places_of_values())
      load_part(parameters.store(), parameters.plan(), part, "", tensors);
    load_states(parameters.store(), tensors);
    load_part(parameters.store(), parameters.plan(), step_.optimizer().first_moment(), "exp_avg.", tensors);
    load_part(parameters.store(), parameters.plan(), step_.optimizer().second_moment(), "exp_avg_sq.",
              tensors);
    step_.optimizer().set_steps(options_.start_step);
  }

  Context& context_;
  const ShardedRunOptions& options_;
  ShardedModel sharded_;
  TrainStep step_;
};

}  // namespace

ShardedCase sharded_case() {
  ShardedCase of{small_model_config(), small_moe_config()};
  of.model.hidden_size = 20;
  of.model.num_attention_heads = 2;
  of.model.num_key_value_heads = 1;
  of.model.intermediate_size = 27;
  of.model.tie_word_embeddings = true;
  of.moe.moe_intermediate_size = 7;
  of.moe.device_groups = 4;
  of.moe.device_loss_alpha = 0.03;
  of.moe.z_loss_alpha = 0.001;
  of.moe.bias_update_speed = 0.01;
  return of;
}

ShardedOutcome sharded_run(const ShardedRunOptions& options, const ShardedCase& of) {
  std::vector<ShardedOutcome> outcomes(static_cast<std::size_t>(options.ranks));
  run_ranks(options.ranks, [&](Communicator& given, Context& context) {
    std::optional<DisturbedRanks> disturbed;
    if (options.disturbance) disturbed.emplace(given, options.disturbance);
    Communicator& ranks = disturbed ? static_cast<Communicator&>(*disturbed) : given;
    ShardedOutcome& mine = outcomes[static_cast<std::size_t>(ranks.rank())];
    Rank rank(ranks, context, options, of);
    for (std::int64_t n = 0; n < options.steps; ++n) rank.step(options.start_step + n, mine);
    rank.read_tensors(mine);
  });
  for (const ShardedOutcome& other : outcomes) {
    const bool same = other.ce == outcomes[0].ce && other.grad_norm == outcomes[0].grad_norm &&
                      other.counts == outcomes[0].counts;
    expect(same, "all ranks know the same figures");
  }
  return outcomes[0];
}

double largest_relative(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = a.size() == b.size() ? 0.0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(a[i] - b[i]) / std::abs(b[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest;
}

}  // namespace granule::test
