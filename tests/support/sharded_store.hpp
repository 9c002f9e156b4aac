// A few parameters with odd sizes, as one rank of a job holds them.
#pragma once
#include "distributed/zero/sharded_parameters.hpp"

namespace granule::test {

/// Declares an embedding, two layers with experts, and a head, tied or not. The sizes are not divisible by
/// anything.
void declare_odd(ParameterStore& store, bool tied);

struct ShardedStore {
  Mesh mesh;
  ParameterStore store;
  std::optional<ShardedParameters> parameters;

  ShardedStore(Context& context, Communicator& world, ZeroStage stage, Precision precision,
               const std::function<void(ParameterStore&)>& declare, std::int64_t ep = 1);
};

/// Bytes that a rank holds for the length of a run, as the memory table counts them. It is the
/// arithmetic of ZeRO, with which tests compare what is held. States (selection biases) are not included.
struct ShardedBytes {
  std::int64_t weights = 0, gradients = 0, optimizer = 0, communication = 0;
  friend bool operator==(const ShardedBytes&, const ShardedBytes&) = default;
};
[[nodiscard]] ShardedBytes sharded_bytes(const ShardPlan& plan, std::int64_t units, ZeroStage stage,
                                         Precision precision);

}  // namespace granule::test
