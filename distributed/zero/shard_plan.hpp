// Which rank owns which elements of the arena. A plan is arithmetic on the layout of parameters and the
// numbers of ranks, without memory or communicator.
#pragma once
#include <cstdint>
#include <vector>

#include "core/dtype.hpp"
#include "distributed/communicators/mesh.hpp"
#include "nn/parameters.hpp"

namespace granule {

[[nodiscard]] Residence residence_of(ZeroStage stage);

/// Over how many ranks the parameters of a group are sharded: dense ones over all, and experts over those of
/// a column.
[[nodiscard]] inline std::int64_t parts_of(const MeshPosition& at, ParameterGroup group) {
  return group == ParameterGroup::dense ? at.ranks : at.rows();
}
/// Which of them this rank is.
[[nodiscard]] inline std::int64_t part_of(const MeshPosition& at, ParameterGroup group) {
  return group == ParameterGroup::dense ? at.rank : at.row();
}
[[nodiscard]] inline Communicator& ranks_of(const Mesh& mesh, ParameterGroup group) {
  return group == ParameterGroup::dense ? mesh.world : *mesh.data;
}
[[nodiscard]] inline ArenaLayout arena_layout(const MeshPosition& at) {
  return {parts_of(at, ParameterGroup::dense), parts_of(at, ParameterGroup::expert)};
}

struct ShardPlan {
  /// One bucket and a rank's part of it: elements [begin, begin + size) of the arena are its own.
  struct Shard {
    Bucket bucket;
    std::int64_t parts = 1, part = 0;
    /// Where this rank's part of the bucket begins, if its parts are one after the other.
    std::int64_t offset = 0;
    [[nodiscard]] std::int64_t size() const { return bucket.size / parts; }
    [[nodiscard]] std::int64_t begin() const { return bucket.offset + part * size(); }
    [[nodiscard]] std::int64_t begin_in_bucket() const { return part * size(); }
  };

  MeshPosition position;
  std::vector<Shard> shards;  ///< one for each bucket, in their order
  std::int64_t arena = 0;     ///< elements of the whole arena
  std::int64_t own = 0;       ///< elements of this rank's parts
  /// The same of what is trainable. It is the beginning of each, because frozen buckets come last.
  struct Trainable {
    std::size_t shards = 0;
    std::int64_t arena = 0, own = 0;
  } trainable{};
};
/// The plan of a store that was laid out for these ranks.
[[nodiscard]] ShardPlan make_shard_plan(const ParameterStore& store, const MeshPosition& at);

}  // namespace granule
