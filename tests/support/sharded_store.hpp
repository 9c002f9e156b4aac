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

}  // namespace granule::test
