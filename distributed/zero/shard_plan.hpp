// Who owns which elements of the arena, and where whole buckets stand for a while: arithmetic on the layout
// of parameters and the numbers of ranks. No memory, no communicator; `granule plan` and the run read the
// same answers here.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/dtype.hpp"
#include "distributed/zero/parallel_layout.hpp"
#include "nn/parameters.hpp"

namespace granule {

[[nodiscard]] Residence residence_of(ZeroStage stage);

/// A rank's place in a job of data × expert ranks; see Mesh.
struct ShardWorld {
  std::int64_t ranks = 1, ep = 1, rank = 0;
  /// How many ranks share out the parameters of a group, and which of them this is.
  [[nodiscard]] std::int64_t parts(ParameterGroup group) const {
    return group == ParameterGroup::dense ? ranks : ranks / ep;
  }
  [[nodiscard]] std::int64_t part(ParameterGroup group) const {
    return group == ParameterGroup::dense ? rank : rank / ep;
  }
  [[nodiscard]] ArenaLayout layout() const {
    return {parts(ParameterGroup::dense), parts(ParameterGroup::expert)};
  }
};

/// One bucket as a rank shares in it: elements [begin, begin + size) of the arena are its own.
struct Shard {
  Bucket bucket;
  std::int64_t parts = 1, part = 0;
  std::int64_t offset = 0;  ///< of this rank's part where its parts stand one after the other
  [[nodiscard]] std::int64_t size() const { return bucket.size / parts; }
  [[nodiscard]] std::int64_t begin() const { return bucket.offset + part * size(); }
  [[nodiscard]] std::int64_t begin_in_bucket() const { return part * size(); }
};

struct ShardPlan {
  ShardWorld world;
  std::vector<Shard> shards;  ///< one a bucket, in their order
  std::int64_t arena = 0;     ///< elements of the whole arena
  std::int64_t own = 0;       ///< elements of this rank's parts
};
/// Of a store that was laid out for these ranks.
[[nodiscard]] ShardPlan make_shard_plan(const ParameterStore& store, const ShardWorld& world);

/// Buckets that come and go together: those of a unit, or one that two units use.
struct TransientGroup {
  std::vector<std::size_t> shards;
  std::size_t slot = 0;
  std::int64_t first_user = 0, last_user = 0;  ///< units
};

/// Where whole buckets stand that are held by shards: in three slots. Units take the first two in turns, so
/// that one can be filled, or emptied, while the other is computed on; a bucket of two units has the third.
struct TransientPlan {
  static constexpr std::size_t kSlots = 3;
  std::vector<TransientGroup> groups;
  std::vector<std::vector<std::size_t>> of_unit;  ///< the groups that a unit uses
  std::vector<std::size_t> slot;                  ///< of each bucket,
  std::vector<std::int64_t> place;                ///< and where it begins in it
  std::array<std::int64_t, kSlots> slot_size{};   ///< elements
  [[nodiscard]] std::int64_t elements() const { return slot_size[0] + slot_size[1] + slot_size[2]; }
};
[[nodiscard]] TransientPlan make_transient_plan(const ShardPlan& plan, std::int64_t units);

/// Bytes that a rank holds for the length of a run, as the memory table counts them; states (selection
/// biases) apart.
struct ShardedBytes {
  std::int64_t weights = 0, gradients = 0, optimizer = 0, communication = 0;
};
[[nodiscard]] ShardedBytes sharded_bytes(const ShardPlan& plan, std::int64_t units, ZeroStage stage,
                                         DType dtype);

}  // namespace granule
