// The bytes of a rank by category, as the run's memory table counts them: what a run measures, foretold.
#pragma once
#include "apps/planning/plan_request.hpp"

namespace granule {

struct RankMemory {
  std::int64_t weights = 0;  ///< with rotary tables and selection biases
  std::int64_t gradients = 0, optimizer = 0, communication = 0, statistics = 0;
  std::int64_t staging = 0;                   ///< of MPI's sums, at most; counted as communication
  std::int64_t activations = 0, scratch = 0;  ///< each at its own peak
  std::int64_t step = 0;                      ///< both at the moment when they are most together

  [[nodiscard]] std::int64_t resident() const {
    return weights + gradients + optimizer + communication + statistics + staging;
  }
  [[nodiscard]] std::int64_t total() const { return resident() + step; }
};

/// Where tokens go: evenly to all experts, or all to those of this rank, as far as a token has choices.
using ExpertLoad = MicroBatchShape::Load;

/// What a rank holds whatever its micro-batches are: activations and scratch are 0. Of rank 0: every rank
/// holds as much.
[[nodiscard]] RankMemory resident_memory(const PlanRequest& request);
/// The rest, of one micro-batch.
void add_step_memory(RankMemory& memory, const PlanRequest& request, ExpertLoad load);

[[nodiscard]] inline RankMemory plan_memory(const PlanRequest& request, ExpertLoad load) {
  RankMemory memory = resident_memory(request);
  add_step_memory(memory, request, load);
  return memory;
}

}  // namespace granule
