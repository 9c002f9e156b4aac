// Trains a small model for some steps on thread ranks, and returns everything that a layout must not change.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/models/tensor_set.hpp"
#include "distributed/communicators/parallel_layout.hpp"
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
  std::int64_t steps = 3, sequences = 16, micro = 2;  ///< sequences in a step and in a micro-batch
  Recompute recompute = Recompute::none;
  /// The tensors with which the run begins: an outcome in files, after `start_step` steps.
  const TensorSet* start = nullptr;
  std::int64_t start_step = 0;
  Disturbance disturbance = nullptr;  ///< for every rank
};

/// A model with odd sizes, a tied embedding, 8 experts, every balance loss, and the bias.
struct ShardedCase {
  ModelConfig model;
  MoeConfig moe;
};
[[nodiscard]] ShardedCase sharded_case();

/// The figures of every step, as rank 0 has them. The tensors at the end by name: every parameter, moment and
/// state.
struct ShardedOutcome {
  std::vector<double> ce, aux, device_aux, grad_norm;
  std::vector<std::vector<std::int64_t>> counts;
  std::map<std::string, std::vector<double>> tensors;
};
[[nodiscard]] ShardedOutcome sharded_run(const ShardedRunOptions& options,
                                         const ShardedCase& of = sharded_case());

/// The largest |a − b| / |b| of two series. Infinite if there is a NaN.
[[nodiscard]] double largest_relative(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace granule::test
