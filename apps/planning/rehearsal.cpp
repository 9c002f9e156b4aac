#include "apps/planning/rehearsal.hpp"

#include <algorithm>
#include <utility>

#include "apps/inputs/run_data.hpp"
#include "apps/training/step_end.hpp"
#include "distributed/communicators/rehearsal_communicator.hpp"
#include "moe/experts/exchange_plan.hpp"
#include "moe/training/train_step.hpp"

namespace granule {
namespace {

/// The first micro-batch, the last one, and one between them. All others are like the one between.
constexpr std::int64_t kMicroBatches = 3;

/// On a CPU the optimizer's state is in the host's memory in any case.
ParallelLayout layout_of(const PlanRequest& request) {
  ParallelLayout layout = request.config.parallel;
  layout.offload = layout.offload && request.on_accelerator;
  return layout;
}

/// Everything that a rank of a run has.
struct Job {
  Context context;
  RehearsalCommunicator world;
  ShardedModel model;
  TrainStep step;

  Job(const PlanRequest& request, Routing routing)
      : context({.threads = static_cast<int>(request.threads), .device = {DeviceType::meta}}),
        world(static_cast<int>(request.ranks), request.carrier),
        model(context, world, request.config.model, request.config.moe, request.dtype, layout_of(request),
              routing),
        step(context, model,
             {.totals = totals_of(request.config), .recompute = request.config.train.recompute}) {}
};

MicroBatch micro_batch_of(Context& context, const RunConfig& config) {
  return empty_micro_batch(context, config.train.micro_batch_size, config.data.seq_len,
                           DocumentMask{config.data.document_mask});
}

RankMemory held_by(Context& context) {
  const MemoryTable& table = context.memory();
  return {.weights = table.current(MemoryCategory::weights),
          .gradients = table.current(MemoryCategory::gradients),
          .optimizer = table.current(MemoryCategory::optimizer),
          .communication = table.current(MemoryCategory::communication),
          .statistics = table.current(MemoryCategory::statistics),
          .offloaded = context.memory(Place::pinned).current(MemoryCategory::optimizer),
          .peak = table.current_total()};
}

/// How often the ranks exchange rows in a pass of an MoE layer.
std::int64_t rounds_of(const PlanRequest& request, Routing routing) {
  const RunConfig& config = request.config;
  const std::int64_t ep = config.parallel.ep, limit = config.parallel.receive_limit;
  if (ep == 1 || limit == 0) return 1;
  const auto rows = forced_rows(config.moe, config.train.micro_batch_size * config.data.seq_len, routing);
  std::vector<std::int64_t> count_SE;
  for (std::int64_t rank = 0; rank < ep; ++rank) count_SE.insert(count_SE.end(), rows.begin(), rows.end());
  return ExchangePlan(std::move(count_SE), static_cast<int>(ep), 0, limit).rounds();
}

/// Adds, or takes away, what another ledger counted, `times` times.
void add(std::vector<TrafficRow>& rows, const std::vector<TrafficRow>& others, std::int64_t times) {
  // A ledger keeps its rows in the order of their first calls, so the rows of an earlier moment come first.
  for (std::size_t i = 0; i < others.size(); ++i) {
    rows[i].calls += times * others[i].calls;
    rows[i].bytes += times * others[i].bytes;
  }
}

/// The traffic of `micro_batches`, if `at` has that before each of the micro-batches that were taken.
std::vector<TrafficRow> traffic_of(std::vector<TrafficRow> rows,
                                   const std::vector<std::vector<TrafficRow>>& at,
                                   std::int64_t micro_batches) {
  const std::int64_t others = micro_batches - std::ssize(at);
  if (others <= 0) return rows;
  add(rows, at[2], others);
  add(rows, at[1], -others);
  return rows;
}

std::int64_t ranks_of(const PlanRequest& request, std::string_view group) {
  const MeshPosition first{request.ranks, request.config.parallel.ep, 0};
  return group == "world" ? first.ranks : group == "data" ? first.rows() : first.ep;
}

}  // namespace

Rehearsal rehearse(const PlanRequest& request, Routing routing) {
  PlanRequest taken = request;
  const std::int64_t rounds = rounds_of(request, routing);
  std::int64_t& limit = taken.config.parallel.receive_limit;
  if (rounds > kMostRounds) limit = (rounds * limit + kMostRounds - 1) / kMostRounds;

  const std::int64_t micro_batches = std::min(kMicroBatches, request.micro_batches());
  taken.config.train.batch_size = micro_batches * request.config.train.micro_batch_size * request.ranks;
  Job job(taken, routing);
  Rehearsal rehearsal{.memory = held_by(job.context)};
  std::vector<std::vector<TrafficRow>> at;  // what was sent before each micro-batch
  static_cast<void>(job.step.run(1, 0.0, [&] {
    at.push_back(job.world.ledger().traffic());
    return micro_batch_of(job.context, request.config);
  }));
  static_cast<void>(agree_on_step_end(job.world, {}));

  RankMemory& memory = rehearsal.memory;
  const MemoryTable& table = job.context.memory();
  memory.staging = table.peak(MemoryCategory::communication) - memory.communication;
  memory.activations = table.peak(MemoryCategory::activations);
  memory.scratch = table.peak(MemoryCategory::scratch);
  memory.peak = table.peak_total();
  rehearsal.traffic = traffic_of(job.world.ledger().traffic(), at, request.micro_batches());
  std::erase_if(rehearsal.traffic, [&](const TrafficRow& row) { return ranks_of(request, row.group) == 1; });
  const std::int64_t taken_rounds = rounds_of(taken, routing);
  for (TrafficRow& row : rehearsal.traffic) {
    if (row.kind == CollectiveKind::all_to_all) row.calls = row.calls / taken_rounds * rounds;
  }
  return rehearsal;
}

RankMemory resident_memory(const PlanRequest& request) {
  Job job(request, Routing::even);
  return held_by(job.context);
}

}  // namespace granule
