// A training step without data: the step of moe/training/train_step.hpp on the meta device, as the first rank
// of a job whose other ranks do not exist. What it allocates and sends is what a run's rank does.
#pragma once
#include <vector>

#include "apps/planning/plan_request.hpp"
#include "distributed/communicators/ledger.hpp"
#include "moe/routing/forced_routing.hpp"

namespace granule {

/// Bytes of a rank by category. A run's memory table counts the same categories.
struct RankMemory {
  std::int64_t weights = 0;  ///< including rotary tables and selection biases
  std::int64_t gradients = 0, optimizer = 0, communication = 0, statistics = 0;
  std::int64_t offloaded = 0;  ///< the optimizer's, in the memory of the host beside an accelerator
  /// At most this for MPI's sums. A run's memory table counts it as communication.
  std::int64_t staging = 0;
  std::int64_t activations = 0, scratch = 0;  ///< each at its own peak
  std::int64_t peak = 0;                      ///< the highest sum of all at any moment

  /// What lasts for the whole run.
  [[nodiscard]] std::int64_t resident() const {
    return weights + gradients + optimizer + communication + statistics;
  }
};

struct Rehearsal {
  RankMemory memory;
  /// The collectives of a step. Groups of one rank are left out, because they send nothing. So are periodic
  /// calls: evaluation, checkpoints, the comparison of replicas.
  std::vector<TrafficRow> traffic;
};

/// Takes one step. `routing` is even or worst. If a receive limit makes more than kMostRounds exchanges of an
/// MoE layer, as many with a higher limit replace them: the bytes sent are the same, and memory is a little
/// more.
[[nodiscard]] Rehearsal rehearse(const PlanRequest& request, Routing routing);
inline constexpr std::int64_t kMostRounds = 256;

/// What a rank holds before its first step. Staging, activations and scratch are 0.
[[nodiscard]] RankMemory resident_memory(const PlanRequest& request);

}  // namespace granule
