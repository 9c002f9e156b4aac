// Predicts the bytes of a rank by category. A run's memory table counts the same categories.
#pragma once
#include "apps/planning/plan_request.hpp"

namespace granule {

struct RankMemory {
  std::int64_t weights = 0;  ///< including rotary tables and selection biases
  std::int64_t gradients = 0, optimizer = 0, communication = 0, statistics = 0;
  std::int64_t staging = 0;                   ///< at most this for MPI's sums; counted as communication
  std::int64_t activations = 0, scratch = 0;  ///< each at its own peak
  std::int64_t step = 0;                      ///< both together, when their sum is largest

  [[nodiscard]] std::int64_t resident() const {
    return weights + gradients + optimizer + communication + statistics + staging;
  }
  [[nodiscard]] std::int64_t total() const { return resident() + step; }
};

/// Where tokens go: evenly to all experts, or all to those of this rank, if a token has that many choices.
using ExpertLoad = MicroBatchShape::Load;

/// What a rank holds whatever its micro-batches are. Activations and scratch are 0. The result is for rank 0,
/// and every rank holds as much.
[[nodiscard]] RankMemory resident_memory(const PlanRequest& request);
/// Adds what one micro-batch needs.
void add_step_memory(RankMemory& memory, const PlanRequest& request, ExpertLoad load);

[[nodiscard]] inline RankMemory plan_memory(const PlanRequest& request, ExpertLoad load) {
  RankMemory memory = resident_memory(request);
  add_step_memory(memory, request, load);
  return memory;
}

}  // namespace granule
