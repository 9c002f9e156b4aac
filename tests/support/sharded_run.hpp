// A small model trained for some steps on thread ranks, and everything that a layout must not change.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/models/tensor_set.hpp"
#include "distributed/zero/parallel_layout.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"
#include "nn/parameters.hpp"
#include "nn/pass.hpp"
#include "tests/support/disturbed_ranks.hpp"

namespace granule::test {

struct ShardedRunOptions {
  int ranks = 1;
  ParallelLayout layout{};
  DType dtype = DType::f64;
  std::int64_t steps = 3, sequences = 16, micro = 2;  ///< a step, a micro-batch
  Recompute recompute = Recompute::none;
  /// What to go on from: the tensors of an outcome in files, after this many steps.
  const TensorSet* start = nullptr;
  std::int64_t start_step = 0;
  Disturbance disturbance = nullptr;  ///< of every rank
};

/// Odd sizes, a tied embedding, 8 experts, every balance loss, and the bias.
struct ShardedCase {
  ModelConfig model;
  MoeConfig moe;
};
[[nodiscard]] ShardedCase sharded_case();

/// By step: each figure as rank 0 has it. By name: every parameter, moment and state at the end.
struct ShardedOutcome {
  std::vector<double> ce, aux, device_aux, grad_norm;
  std::vector<std::vector<std::int64_t>> counts;
  std::map<std::string, std::vector<double>> tensors;
};
[[nodiscard]] ShardedOutcome sharded_run(const ShardedRunOptions& options,
                                         const ShardedCase& of = sharded_case());

/// Largest |a − b| / |b| of two series; infinite where a NaN is.
[[nodiscard]] double largest_relative(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace granule::test
