#include "apps/planning/memory_plan.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "distributed/zero/transient_slots.hpp"
#include "moe/model/model.hpp"

namespace granule {
namespace {

/// The cosines and sines of every position, as in RopeTable, in the model's dtype.
std::int64_t rope_bytes(const PlanRequest& request) {
  const ModelConfig& model = request.config.model;
  const bool linear = model.rope_scaling.type == RopeScaling::Type::linear;
  const bool dynamic = model.rope_scaling.type == RopeScaling::Type::dynamic;
  std::int64_t positions = linear ? model.positions() : model.max_position_embeddings;
  const std::int64_t seq = request.config.data.seq_len;
  if (dynamic && seq > model.max_position_embeddings) positions += seq;  // it has a table of its own
  return positions * model.head_dim() * size_of(request.precision().values);
}

/// The record of how the balance losses change each router.
std::int64_t balance_bytes(const PlanRequest& request) {
  return request.config.moe.count_moe_layers(request.config.model.num_hidden_layers) *
         request.config.moe.n_routed_experts * request.config.model.hidden_size *
         size_of(request.precision().gradients);
}

/// The same, and the sums of RouterRecord and LossRecord.
std::int64_t statistics_bytes(const PlanRequest& request) {
  const MoeConfig& moe = request.config.moe;
  const std::int64_t layers = moe.count_moe_layers(request.config.model.num_hidden_layers);
  return balance_bytes(request) + 8 * layers * (2 * moe.n_routed_experts + 3) + 8 * (1 + 3 * layers);
}

std::int64_t biases_bytes(const ParameterStore& store) {
  std::int64_t bytes = 0;
  for (const State& state : store.states()) bytes += state.shape.numel() * size_of(DType::f32);
  return bytes;
}

/// What an MPI sum keeps while it runs: a piece of its part from every other rank.
std::int64_t staged_bytes(std::int64_t ranks, std::int64_t part, std::int64_t element) {
  constexpr std::int64_t kPiece = std::int64_t{1} << 18;  // distributed/mpi/mpi_collectives.cpp
  return (ranks - 1) * std::min(kPiece, part) * element;
}

/// The most that sums of gradients keep while several run at once. Sums of whole gradients all run after the
/// last micro-batch. In the other stages, those of the buckets in the slots run at once.
std::int64_t gradient_staging(const ShardPlan& plan, std::int64_t units, ZeroStage stage,
                              std::int64_t element) {
  const auto of = [&](std::size_t i) {
    return staged_bytes(plan.shards[i].parts, plan.shards[i].size(), element);
  };
  std::int64_t all = 0;
  for (std::size_t i = 0; i < plan.trainable.shards; ++i) all += of(i);
  if (stage < ZeroStage::gradients) return all;
  std::array<std::int64_t, TransientPlan::kSlots> slots{};
  for (const TransientPlan::Group& group : make_transient_plan(plan, units, plan.trainable.shards).groups) {
    std::int64_t sum = 0;
    for (const std::size_t i : group.shards) sum += of(i);
    slots[group.slot] = std::max(slots[group.slot], sum);
  }
  return std::accumulate(slots.begin(), slots.end(), std::int64_t{0});
}

/// The sums of the routers' balance gradients run together, after those of the gradients.
std::int64_t staging_bytes(const PlanRequest& request, const ShardPlan& plan, std::int64_t units,
                           ZeroStage stage) {
  if (request.carrier == PlanRequest::Carrier::memory) return 0;
  const std::int64_t element = size_of(request.precision().gradients);
  const std::int64_t experts = request.config.moe.n_routed_experts;
  std::int64_t reports = 0;
  if (experts > 0) {
    const std::int64_t router = experts * request.config.model.hidden_size;
    const std::int64_t routers = balance_bytes(request) / (router * element);
    reports = routers * staged_bytes(request.ranks, (router + request.ranks - 1) / request.ranks, element);
  }
  return std::max(gradient_staging(plan, units, stage, element), reports);
}

}  // namespace

void check_request(const PlanRequest& request) {
  check_layout(request.config.parallel, request.config.moe.n_routed_experts, request.ranks);
}

RankMemory resident_memory(const PlanRequest& request) {
  const ParallelLayout layout = request.config.parallel;
  const MeshPosition world{.ranks = request.ranks, .ep = layout.ep};
  ParameterStore store;
  declare_parameters(store, request.config.model, request.config.moe, {.parts = layout.ep});
  store.lay_out(arena_layout(world));
  const ShardPlan plan = make_shard_plan(store, world);
  const ShardedBytes bytes = sharded_bytes(plan, store.units(), layout.stage(), request.precision());
  return {.weights = bytes.weights + rope_bytes(request) + biases_bytes(store),
          .gradients = bytes.gradients,
          .optimizer = bytes.optimizer,
          .communication = bytes.communication,
          .statistics = statistics_bytes(request),
          .staging = staging_bytes(request, plan, store.units(), layout.stage())};
}

void add_step_memory(RankMemory& memory, const PlanRequest& request, ExpertLoad load) {
  const RunConfig& config = request.config;
  const MicroBatchShape shape{
      .batch = config.train.micro_batch_size,
      .seq = config.data.seq_len,
      .element_bytes = size_of(request.precision().values),
      .threads = request.threads,
      .recompute = config.train.recompute,
      .documents = MicroBatchShape::Documents{config.data.document_mask},
      .experts = {.ranks = config.parallel.ep, .receive_limit = config.parallel.receive_limit, .load = load}};
  const MemoryTable table = sketch_micro_batch(config.model, config.moe, shape);
  memory.activations = table.peak(MemoryCategory::activations);
  memory.scratch = table.peak(MemoryCategory::scratch);
  memory.step = table.peak_total();
}

}  // namespace granule
