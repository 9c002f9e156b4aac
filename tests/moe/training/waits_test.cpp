// How often a training step waits for the device: once in each MoE layer of each micro-batch, for the sizes
// of its experts' products, and once at its end for everything that is reported.
#include "distributed/communicators/self_communicator.hpp"
#include "moe/training/train_step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/router_variants.hpp"
#include "tests/support/sharded_run.hpp"
#include "tests/support/small_model.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kMicroBatches = 3;

/// Waits of the second step of a rank. `ranks` divide the micro-batches.
std::int64_t waits_of_step(Communicator& ranks, Context& context, const MoeConfig& moe, Recompute recompute) {
  const ModelConfig model = sharded_case().model;
  ShardedModel sharded(context, ranks, model, moe, DType::f32, {.ep = ranks.size()});
  sharded.parameters().initialise(1, 0.1);
  const std::int64_t all = kMicroBatches * ranks.size();
  TrainStep train_step(context, sharded,
                       {.totals = {all * kSmallSeq, all, all}, .recompute = recompute, .grad_clip = 1.0});
  for (std::int64_t n = 1; n <= 2; ++n) {
    context.profile().reset();
    std::int64_t next = 0;
    const StepResult result = train_step.run(n, 1e-3, [&] { return small_batch(context, model, next++, 1); });
    const RouterRecord& record = train_step.routers();
    expect(result.losses.ce > 0.0 && result.grad_norm > 0.0, "there are losses and a norm");
    expect(record.counts(0)[0] >= 0 && record.entropy(0) >= 0.0, "there are counts");
    expect(result.shares[0].balance >= 0.0, "there are shares");
  }
  return context.profile().waits();
}

}  // namespace

TEST_CASE("waits: a step waits once in each MoE layer of each micro-batch, and once at its end") {
  const std::vector<Recompute> all{Recompute::none, Recompute::feed_forward, Recompute::full};
  std::size_t number = 0;
  for (const RouterVariant& variant : router_variants()) {
    // On a slow device, each variant has its turn with one of them.
    const std::vector<Recompute> some{all[number++ % all.size()]};
    for (const Recompute recompute : computes_slowly() ? some : all) {
      CAPTURE(variant.name, static_cast<int>(recompute));
      TestContext context({.step_memory = std::int64_t{1} << 28});
      SelfCommunicator alone;
      const std::int64_t layers = variant.moe.count_moe_layers(sharded_case().model.num_hidden_layers);
      CHECK(waits_of_step(alone, context, variant.moe, recompute) == layers * kMicroBatches + 1);
    }
  }
}

TEST_CASE("waits: thread ranks that shard experts wait as often as one rank alone") {
  if (test_device().type != DeviceType::cpu) return;  // there collectives go through the host, and wait
  for (const Recompute recompute : {Recompute::none, Recompute::full}) {
    std::array<std::int64_t, 2> waits{};
    run_ranks(2, [&](Communicator& ranks, Context& context) {
      waits[static_cast<std::size_t>(ranks.rank())] =
          waits_of_step(ranks, context, small_moe_config(), recompute);
    });
    const std::int64_t expected =
        small_moe_config().count_moe_layers(sharded_case().model.num_hidden_layers) * kMicroBatches + 1;
    CHECK(waits == std::array{expected, expected});
  }
}
