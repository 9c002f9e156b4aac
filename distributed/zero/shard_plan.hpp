// Which rank owns which elements of the arena, and where whole buckets are held temporarily. It is arithmetic
// on the layout of parameters and the numbers of ranks, without memory or communicator. `granule plan` and
// the run get the same answers here.
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
  /// Over how many ranks the parameters of a group are sharded, and which of them this rank is.
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

struct ShardPlan {
  ShardWorld world;
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
[[nodiscard]] ShardPlan make_shard_plan(const ParameterStore& store, const ShardWorld& world);

/// Buckets that come and go together: those of a unit, or one that two units use.
struct TransientGroup {
  std::vector<std::size_t> shards;
  std::size_t slot = 0;
  std::int64_t first_user = 0, last_user = 0;  ///< the units that use it
};

/// Where whole buckets are held if ranks hold only shards: in three slots. Units use the first two slots in
/// turn, so that one can be filled or emptied while the other is computed on. A bucket of two units has the
/// third slot.
struct TransientPlan {
  static constexpr std::size_t kSlots = 3;
  std::vector<TransientGroup> groups;
  std::vector<std::vector<std::size_t>> of_unit;  ///< the groups that each unit uses
  std::vector<std::size_t> slot;                  ///< the slot of each bucket
  std::vector<std::int64_t> place;                ///< where each bucket begins in its slot
  std::array<std::int64_t, kSlots> slot_size{};   ///< in elements
  [[nodiscard]] std::int64_t elements() const { return slot_size[0] + slot_size[1] + slot_size[2]; }
};
/// For the first `shards` of a plan: those whose values are gathered, or whose gradients are reduced.
[[nodiscard]] TransientPlan make_transient_plan(const ShardPlan& plan, std::int64_t units,
                                                std::size_t shards);

/// Bytes that a rank holds for the length of a run, as the memory table counts them. States (selection
/// biases) are not included.
struct ShardedBytes {
  std::int64_t weights = 0, gradients = 0, optimizer = 0, communication = 0;
  friend bool operator==(const ShardedBytes&, const ShardedBytes&) = default;
};
[[nodiscard]] ShardedBytes sharded_bytes(const ShardPlan& plan, std::int64_t units, ZeroStage stage,
                                         Precision precision);

}  // namespace granule
