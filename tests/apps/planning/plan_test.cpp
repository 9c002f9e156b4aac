// Compares plans with runs: what a rank holds and sends in a step, to the byte, for every kind of layout.
#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "apps/planning/memory_plan.hpp"
#include "apps/planning/traffic_plan.hpp"
#include "moe/ops/hash_experts.hpp"
#include "moe/training/train_step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/small_model.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kMicroBatches = 2;

struct Layout {
  std::int64_t ranks = 2, ep = 1, zero = 0, receive_limit = 0;
  Recompute recompute = Recompute::none;
  bool tied = false;
  DType dtype = DType::f32;
};

/// Four experts and two choices for each token. If ranks shard the experts, there is a hash router, so that
/// tokens can be chosen that use every expert equally often.
PlanRequest request_of(const Layout& layout) {
  PlanRequest request{.ranks = layout.ranks, .dtype = layout.dtype};
  RunConfig& config = request.config;
  config.model = small_model_config();
  config.model.tie_word_embeddings = layout.tied;
  config.moe = small_moe_config();
  config.moe.n_routed_experts = 4;
  config.moe.num_experts_per_tok = 2;
  if (layout.ep > 1) {
    config.moe.router = RouterKind::hash;
    config.moe.hash_seed = 3;
    config.moe.aux_loss_alpha = 0.0;
  }
  config.data.seq_len = 12;
  config.train.micro_batch_size = 2;
  config.train.batch_size = 2 * kMicroBatches * layout.ranks;
  config.train.recompute = layout.recompute;
  config.train.dtype = layout.dtype;
  config.parallel.ep = layout.ep;
  config.parallel.zero = layout.zero;
  config.parallel.receive_limit = layout.receive_limit;
  return request;
}

/// Two tokens that together use all four experts of the hash router.
std::array<std::int32_t, 2> complementary_tokens(Context& context, const MoeConfig& moe) {
  constexpr std::int32_t kTokens = 61;
  const Tensor tokens = Tensor::empty(context, {kTokens}, DType::i32);
  std::iota(tokens.data<std::int32_t>(), tokens.data<std::int32_t>() + kTokens, 0);
  const Tensor id_NK = hash_experts(tokens, moe.n_routed_experts, 2, moe.hash_seed);
  const auto ids = id_NK.span<const std::int32_t>();
  for (std::int32_t t = 1; t < kTokens; ++t) {
    std::array four{ids[0], ids[1], ids[2 * std::size_t(t)], ids[2 * std::size_t(t) + 1]};
    std::sort(four.begin(), four.end());
    if (four == std::array{0, 1, 2, 3}) return {0, t};
  }
  throw Error(ExitCode::failure, "there are no such tokens", "expected in a test", "");
}

MicroBatch even_batch(Context& context, const RunConfig& config) {
  std::array<std::int32_t, 2> tokens{3, 7};
  if (config.moe.router == RouterKind::hash) tokens = complementary_tokens(context, config.moe);
  const std::int64_t N = config.train.micro_batch_size * config.data.seq_len;
  MicroBatch batch{Tensor::empty(context, {N}, DType::i32), Tensor::empty(context, {N}, DType::i32),
                   config.train.micro_batch_size, config.data.seq_len};
  for (std::int64_t i = 0; i < N; ++i) {
    batch.token_N.data<std::int32_t>()[i] = tokens[std::size_t(i % 2)];
    batch.target_N.data<std::int32_t>()[i] = tokens[std::size_t((i + 1) % 2)];
  }
  return batch;
}

using Traffic = std::map<std::string, std::array<std::int64_t, 2>>;  // calls and bytes
std::string row_name(std::string_view group, CollectiveKind kind, std::string_view phase) {
  return fmt::format("{} {} {}", group, name_of(kind), phase);
}

struct Measured {
  RankMemory memory;
  std::int64_t peak = 0;
  Traffic traffic;
};

RankMemory peaks_of(const MemoryTable& table) {
  return {.weights = table.peak(MemoryCategory::weights),
          .gradients = table.peak(MemoryCategory::gradients),
          .optimizer = table.peak(MemoryCategory::optimizer),
          .communication = table.peak(MemoryCategory::communication),
          .statistics = table.peak(MemoryCategory::statistics),
          .activations = table.peak(MemoryCategory::activations),
          .scratch = table.peak(MemoryCategory::scratch)};
}

/// Computes a step like the trainer and returns what rank 0 measured.
Measured measured_step(const PlanRequest& request) {
  Measured measured;
  const RunConfig& config = request.config;
  run_ranks(static_cast<int>(request.ranks), [&](Communicator& world, Context&) {
    Context context({.step_memory = std::int64_t{1} << 28});
    ShardedModel sharded(context, world, config.model, config.moe, config.train.dtype, config.parallel);
    const StepTotals totals{request.tokens(), config.train.batch_size, kMicroBatches * request.ranks};
    TrainStep step(context, sharded, {.totals = totals, .recompute = config.train.recompute});
    sharded.parameters().initialise(7, 0.2);
    const auto before = world.ledger().traffic();
    static_cast<void>(step.run(1, 1e-3, [&] { return even_batch(context, config); }));
    if (world.rank() != 0) return;
    measured.memory = peaks_of(context.memory());
    measured.peak = context.memory().peak_total();
    for (const TrafficRow& row : world.ledger().traffic())
      measured.traffic[row_name(row.group, row.kind, row.phase)] = {row.calls, row.bytes};
    for (const TrafficRow& row : before) measured.traffic.erase(row_name(row.group, row.kind, row.phase));
  });
  return measured;
}

Traffic planned_traffic(const PlanRequest& request) {
  Traffic traffic;
  for (const PlannedTraffic& row : plan_traffic(request)) {
    // The trainer's own collective at the end of a step is not called here.
    if (row.phase != "step end") traffic[row_name(row.group, row.kind, row.phase)] = {row.calls, row.bytes};
  }
  return traffic;
}

/// Leaves out groups of one rank, in which nothing is sent.
Traffic between_ranks(const Traffic& traffic) {
  Traffic sent;
  for (const auto& [name, row] : traffic) {
    if (row[1] > 0) sent[name] = row;
  }
  return sent;
}

}  // namespace

TEST_CASE("thread ranks: a plan names the bytes that a rank holds and sends in a step") {
  const std::vector<Layout> layouts{
      {.ranks = 1},
      {.ranks = 2, .zero = 0, .recompute = Recompute::feed_forward},
      {.ranks = 2, .zero = 1, .tied = true},
      {.ranks = 3, .zero = 2, .recompute = Recompute::full, .tied = true},
      {.ranks = 2, .ep = 2, .zero = 1},
      {.ranks = 4, .ep = 2, .zero = 2, .recompute = Recompute::feed_forward},
      {.ranks = 4, .ep = 4, .zero = 3, .receive_limit = 31, .recompute = Recompute::full},
      {.ranks = 4, .ep = 2, .zero = 3, .tied = true, .dtype = DType::f64},
  };
  for (const Layout& layout : layouts) {
    INFO("ranks " << layout.ranks << ", ep " << layout.ep << ", zero " << layout.zero << ", tied "
                  << layout.tied);
    const PlanRequest request = request_of(layout);
    const Measured measured = measured_step(request);
    const RankMemory planned = plan_memory(request, ExpertLoad::uniform);
    CHECK(planned.weights == measured.memory.weights);
    CHECK(planned.gradients == measured.memory.gradients);
    CHECK(planned.optimizer == measured.memory.optimizer);
    CHECK(planned.communication == measured.memory.communication);
    CHECK(planned.statistics == measured.memory.statistics);
    CHECK(planned.activations == measured.memory.activations);
    CHECK(planned.scratch == measured.memory.scratch);
    CHECK(planned.total() == measured.peak);
    CHECK(between_ranks(planned_traffic(request)) == between_ranks(measured.traffic));
  }
}

TEST_CASE("optimizer state falls as the number of ranks grows") {
  for (const std::int64_t ranks : {2, 4, 8}) {
    const auto optimizer = [&](std::int64_t zero) {
      return resident_memory(request_of({.ranks = ranks, .zero = zero})).optimizer;
    };
    CHECK(optimizer(1) * ranks == optimizer(0));
    CHECK(optimizer(3) == optimizer(1));
  }
}
