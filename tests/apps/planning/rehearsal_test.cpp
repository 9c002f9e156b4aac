// Compares rehearsals with runs: what a rank holds and sends in a step, to the byte, for every kind of
// layout.
#include "apps/planning/rehearsal.hpp"

#include <array>
#include <map>

#include "apps/training/step_end.hpp"
#include "core/transfer.hpp"
#include "moe/training/train_step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/small_model.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Layout {
  std::int64_t ranks = 1, ep = 1, zero = 0, receive_limit = 0;
  std::int64_t micro_batches = 2;
  Recompute recompute = Recompute::none;
  int threads = 1;
  DType dtype = DType::f32;
  std::function<void(RunConfig&)> edit = [](RunConfig&) {};
};

PlanRequest request_of(const Layout& layout) {
  PlanRequest request{.ranks = layout.ranks, .threads = layout.threads, .dtype = layout.dtype};
  RunConfig& config = request.config;
  config.model = small_model_config();
  config.moe = small_moe_config();
  config.moe.n_routed_experts = 4;
  config.moe.num_experts_per_tok = 2;
  config.data.seq_len = 12;
  config.train.micro_batch_size = 2;
  config.train.recompute = layout.recompute;
  config.train.dtype = layout.dtype;
  config.parallel.ep = layout.ep;
  config.parallel.zero = layout.zero;
  config.parallel.receive_limit = layout.receive_limit;
  layout.edit(config);
  config.train.batch_size = config.train.micro_batch_size * layout.micro_batches * layout.ranks;
  return request;
}

MicroBatch batch_of(Context& context, const RunConfig& config) {
  const std::int64_t N = config.train.micro_batch_size * config.data.seq_len;
  MicroBatch batch{Tensor::empty(context, {N}, DType::i32), Tensor::empty(context, {N}, DType::i32),
                   config.train.micro_batch_size, config.data.seq_len};
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i <= N; ++i)
    tokens.push_back(static_cast<std::int32_t>(7 * i % config.model.vocab_size));
  write<std::int32_t>(std::span(tokens).first(tokens.size() - 1), batch.token_N);
  write<std::int32_t>(std::span(tokens).subspan(1), batch.target_N);
  if (config.data.document_mask) batch.first_key_N = Tensor::zeros(context, {N}, DType::i32);
  return batch;
}

using Traffic = std::map<std::string, std::array<std::int64_t, 2>>;  // calls and bytes
std::string name_of(const TrafficRow& row) {
  return fmt::format("{} {} {}", row.group, granule::name_of(row.kind), row.phase);
}

struct Measured {
  RankMemory memory;
  Traffic traffic;
};

RankMemory peaks_of(const MemoryTable& table) {
  return {.weights = table.peak(MemoryCategory::weights),
          .gradients = table.peak(MemoryCategory::gradients),
          .optimizer = table.peak(MemoryCategory::optimizer),
          .communication = table.peak(MemoryCategory::communication),
          .statistics = table.peak(MemoryCategory::statistics),
          .activations = table.peak(MemoryCategory::activations),
          .scratch = table.peak(MemoryCategory::scratch),
          .peak = table.peak_total()};
}

/// Computes a step like the trainer and returns what rank 0 measured.
Measured measured_step(const PlanRequest& request, Routing routing) {
  Measured measured;
  const RunConfig& config = request.config;
  run_ranks(static_cast<int>(request.ranks), [&](Communicator& world, Context&) {
    Context context({.threads = static_cast<int>(request.threads), .step_memory = std::int64_t{1} << 28});
    ShardedModel sharded(context, world, config.model, config.moe, config.train.dtype, config.parallel,
                         routing);
    const StepTotals totals{request.tokens(), config.train.batch_size,
                            request.micro_batches() * request.ranks};
    TrainStep step(context, sharded, {.totals = totals, .recompute = config.train.recompute});
    sharded.parameters().initialise(7, 0.2);
    const auto before = world.ledger().traffic();
    static_cast<void>(step.run(1, 1e-3, [&] { return batch_of(context, config); }));
    static_cast<void>(agree_on_step_end(world, {}));
    if (world.rank() != 0) return;
    measured.memory = peaks_of(context.memory());
    for (const TrafficRow& row : world.ledger().traffic()) {
      // Nothing is sent in groups of one rank.
      if (row.bytes > 0) measured.traffic[name_of(row)] = {row.calls, row.bytes};
    }
    for (const TrafficRow& row : before) measured.traffic.erase(name_of(row));
  });
  return measured;
}

Traffic traffic_of(const Rehearsal& rehearsal) {
  Traffic traffic;
  for (const TrafficRow& row : rehearsal.traffic) {
    if (row.bytes > 0) traffic[name_of(row)] = {row.calls, row.bytes};
  }
  return traffic;
}

void compare(const Layout& layout, Routing routing) {
  INFO("ranks " << layout.ranks << ", ep " << layout.ep << ", zero " << layout.zero << ", limit "
                << layout.receive_limit << ", recompute " << granule::name_of(layout.recompute) << ", "
                << layout.micro_batches << " micro-batches, routing " << granule::name_of(routing));
  const PlanRequest request = request_of(layout);
  const Measured measured = measured_step(request, routing);
  const Rehearsal rehearsed = rehearse(request, routing);
  CHECK(rehearsed.memory.weights == measured.memory.weights);
  CHECK(rehearsed.memory.gradients == measured.memory.gradients);
  CHECK(rehearsed.memory.optimizer == measured.memory.optimizer);
  CHECK(rehearsed.memory.communication == measured.memory.communication);
  CHECK(rehearsed.memory.statistics == measured.memory.statistics);
  CHECK(rehearsed.memory.activations == measured.memory.activations);
  CHECK(rehearsed.memory.scratch == measured.memory.scratch);
  CHECK(rehearsed.memory.peak == measured.memory.peak);
  CHECK(traffic_of(rehearsed) == measured.traffic);
  CHECK(rehearsed.memory.staging == 0);
  const RankMemory held = resident_memory(request);
  CHECK(held.resident() == rehearsed.memory.resident());
}

constexpr std::array kRecomputes{Recompute::none, Recompute::feed_forward, Recompute::full};

}  // namespace

TEST_CASE("thread ranks: a rehearsal names the bytes that a rank holds and sends in a step") {
  const std::vector<Layout> layouts{
      {.ranks = 1},
      {.ranks = 2, .zero = 1},
      {.ranks = 3, .zero = 2},
      {.ranks = 2, .ep = 2, .zero = 1},
      {.ranks = 4, .ep = 2, .zero = 2, .receive_limit = 31},
      {.ranks = 4, .ep = 4, .zero = 3, .receive_limit = 31},
      {.ranks = 4, .ep = 2, .zero = 3, .dtype = DType::f64},
      {.ranks = 1, .dtype = DType::bf16},
      {.ranks = 4, .ep = 2, .zero = 3, .dtype = DType::bf16},
  };
  for (Layout layout : layouts) {
    for (const Recompute recompute : kRecomputes) {
      layout.recompute = recompute;
      for (const Routing routing : {Routing::even, Routing::worst}) compare(layout, routing);
    }
  }
}

TEST_CASE("a rehearsal of many micro-batches takes three, and knows the traffic of all") {
  for (const std::int64_t micro_batches : {1, 3, 4, 7}) {
    compare({.ranks = 4, .ep = 2, .zero = 2, .micro_batches = micro_batches}, Routing::even);
    compare({.ranks = 4, .ep = 2, .zero = 3, .micro_batches = micro_batches, .recompute = Recompute::full},
            Routing::even);
  }
}

TEST_CASE("a rehearsal holds what a micro-batch holds, to the byte, for every kind of model") {
  const std::vector<std::function<void(RunConfig&)>> edits{
      [](RunConfig& c) {
        c.model.num_key_value_heads = 0;
        c.model.tie_word_embeddings = true;
      },
      [](RunConfig& c) {
        c.moe.n_shared_experts = 0;
        c.moe.first_k_dense_replace = 0;
        c.moe.num_experts_per_tok = 1;
        c.moe.norm_topk_prob = true;
      },
      [](RunConfig& c) {
        c.moe = {};
        c.model.attention_bias = true;
      },
      [](RunConfig& c) { c.model.max_position_embeddings = c.data.seq_len = 150; },
      [](RunConfig& c) {
        c.data.document_mask = true;
        c.moe.seq_aux = false;
        c.moe.aux_loss_alpha = 0.0;
      },
      [](RunConfig& c) {
        c.moe.scoring_func = ScoringFunction::sigmoid;
        c.moe.bias_update_speed = 0.01;
        c.moe.norm_topk_prob = true;
        c.moe.device_groups = 4;
        c.moe.device_loss_alpha = 0.05;
        c.moe.z_loss_alpha = 0.01;
      },
      [](RunConfig& c) {
        c.moe.router = RouterKind::hash;
        c.moe.hash_seed = 3;
        c.moe.aux_loss_alpha = 0.0;
      },
      [](RunConfig& c) {
        c.moe.n_routed_experts = 40;
        c.moe.num_experts_per_tok = 12;
        c.model.vocab_size = 1100;
        c.train.micro_batch_size = 9;
      },
      [](RunConfig& c) {
        c.moe.capacity_factor = 1.25;
        c.model.rope_scaling = {RopeScaling::Type::dynamic, 2.0};
      },
  };
  for (const auto& edit : edits) {
    for (const Recompute recompute : kRecomputes) {
      compare({.recompute = recompute, .threads = 2, .edit = edit}, Routing::even);
      compare({.recompute = recompute, .threads = 2, .edit = edit}, Routing::worst);
    }
  }
}

TEST_CASE("a rehearsal needs what a run with natural routing needs where no rank waits for others' tokens") {
  for (const Recompute recompute : kRecomputes) {
    const PlanRequest request = request_of({.recompute = recompute});
    const Measured measured = measured_step(request, Routing::natural);
    CHECK(rehearse(request, Routing::even).memory.peak == measured.memory.peak);
  }
}

TEST_CASE("a receive limit that makes very many exchanges is rehearsed as quickly, with all their calls") {
  const auto rehearsed = [](std::int64_t limit) {
    return rehearse(request_of({.ranks = 2,
                                .ep = 2,
                                .receive_limit = limit,
                                .micro_batches = 1,
                                .edit = [](RunConfig& c) { c.train.micro_batch_size = 256; }}),
                    Routing::even);
  };
  const auto calls = [](const Rehearsal& rehearsal) {
    std::map<std::string, std::array<std::int64_t, 2>> rows;
    for (const TrafficRow& row : rehearsal.traffic) {
      if (row.kind == CollectiveKind::all_to_all) rows[name_of(row)] = {row.calls, row.bytes};
    }
    return rows;
  };
  constexpr std::int64_t kReceived = 256 * 12 * 2;  // a rank receives as many rows as it sends
  const Rehearsal some = rehearsed(kReceived / kMostRounds), many = rehearsed(1);
  for (const auto& [name, row] : calls(many)) {
    const auto [calls_of_some, bytes] = calls(some).at(name);
    CHECK(row[0] * kMostRounds == calls_of_some * kReceived);
    CHECK(row[1] == bytes);
  }
  CHECK(many.memory.peak <= some.memory.peak);
}

TEST_CASE("MPI's sums are staged, and no other byte changes") {
  for (const std::int64_t zero : {0, 1, 2, 3}) {
    PlanRequest request = request_of({.ranks = 4, .ep = 2, .zero = zero});
    const RankMemory memory = rehearse(request, Routing::even).memory;
    request.carrier = Carrier::messages;
    const RankMemory staged = rehearse(request, Routing::even).memory;
    CHECK(staged.staging > 0);
    CHECK(staged.resident() == memory.resident());
    CHECK(staged.activations == memory.activations);
    CHECK(staged.peak >= memory.peak);
    CHECK(staged.peak <= memory.peak + staged.staging);
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
