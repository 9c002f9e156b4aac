#include "tests/support/sharded_run.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "distributed/parameter_files.hpp"
#include "distributed/zero/sharded_optimizer.hpp"
#include "moe/routing/bias_balance.hpp"
#include "moe/sharded_model.hpp"
#include "optim/grad_norm.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/small_model.hpp"

namespace granule::test {
namespace {

/// One rank's part of the run.
class Rank {
 public:
  Rank(Communicator& ranks, Context& context, const ShardedRunOptions& options, const ShardedCase& of)
      : context_(context),
        options_(options),
        sharded_(context, ranks, of.model, of.moe, options.dtype, options.layout),
        optimizer_(context, sharded_.parameters(), {.eps = 1e-6}, DecayOf::matrices),
        record_(context, sharded_.model().moe_layers(), of.moe.n_routed_experts) {
    sharded_.parameters().initialise(7, of.model.initializer_range);
    if (options.start != nullptr) load(*options.start);
    record_.measure_balance(options.dtype, of.model.hidden_size);
  }

  void step(std::int64_t n, ShardedOutcome& outcome) {
    const std::int64_t micros = options_.sequences / options_.micro, mine = micros / options_.ranks;
    const StepTotals totals{options_.sequences * kSmallSeq, options_.sequences, micros};
    sharded_.ranks().ledger().begin_step(n);
    std::int64_t next = n * micros + sharded_.ranks().rank() * mine;
    const LossReport losses = sharded_.compute_gradients(totals, options_.recompute, record_, [&] {
      return small_batch(context_, sharded_.model().config(), options_.micro * next++, options_.micro);
    });
    const double norm = sharded_.gradient_norm();
    optimizer_.step(3e-3, clip_factor(norm, 0.5));
    update_selection_bias(sharded_.model(), record_);
    sharded_.parameters().require_equal_replicas();
    outcome.ce.push_back(losses.ce);
    outcome.aux.push_back(losses.aux());
    outcome.device_aux.push_back(losses.device_aux());
    outcome.grad_norm.push_back(norm);
    outcome.counts.emplace_back(record_.counts().begin(), record_.counts().end());
  }

  void read_tensors(ShardedOutcome& outcome) {
    const ShardedParameters& parameters = sharded_.parameters();
    const auto names =
        global_tensors(sharded_.model().config(), sharded_.model().moe(), parameters.plan().world);
    const auto read = [&](const ArenaPart& part, const std::string& prefix) {
      for (const TensorToSave& tensor : gathered(names, {sharded_.ranks(), parameters.plan(), part}, prefix))
        outcome.tensors[tensor.spec.name] = values_read(tensor);
    };
    read(parameters.values(), "");
    read(optimizer_.first_moment(), "exp_avg.");
    read(optimizer_.second_moment(), "exp_avg_sq.");
    for (const TensorToSave& state : states_to_save(parameters.store()))
      outcome.tensors[state.spec.name] = values_read(state);
  }

 private:
  void load(const TensorSet& tensors) {
    const ShardedParameters& parameters = sharded_.parameters();
    load_part(parameters.store(), parameters.plan(), parameters.values(), "", tensors);
    load_states(parameters.store(), tensors);
    load_part(parameters.store(), parameters.plan(), optimizer_.first_moment(), "exp_avg.", tensors);
    load_part(parameters.store(), parameters.plan(), optimizer_.second_moment(), "exp_avg_sq.", tensors);
    optimizer_.set_steps(options_.start_step);
  }

  Context& context_;
  const ShardedRunOptions& options_;
  ShardedModel sharded_;
  ShardedOptimizer optimizer_;
  RouterRecord record_;
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
