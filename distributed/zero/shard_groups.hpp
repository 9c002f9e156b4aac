// The ranks over which a bucket is sharded, found by its group.
#pragma once
#include "distributed/communicators/mesh.hpp"
#include "distributed/zero/shard_plan.hpp"

namespace granule {

[[nodiscard]] inline Communicator& ranks_of(const Mesh& mesh, ParameterGroup group) {
  return group == ParameterGroup::dense ? mesh.world : *mesh.data;
}
[[nodiscard]] inline ShardWorld shard_world(const Mesh& mesh) {
  return {mesh.world.size(), mesh.expert->size(), mesh.world.rank()};
}

}  // namespace granule
