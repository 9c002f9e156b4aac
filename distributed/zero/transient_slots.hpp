// Where whole buckets are held temporarily if ranks hold only shards: which slot a bucket has, and the
// buffers. All but the buffers is arithmetic on the plan of shards.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "distributed/zero/shard_plan.hpp"

namespace granule {

/// Three slots. Units use the first two in turn, so that one can be filled or emptied while the other is
/// computed on. A bucket of two units has the third.
class TransientSlots {
 public:
  static constexpr std::size_t kSlots = 3;
  /// Buckets that come and go together: those of a unit, or one that two units use.
  struct Group {
    std::vector<std::size_t> shards;
    std::size_t slot = 0;
  };

  /// For the first `shards` of a plan: those whose values are gathered, or whose gradients are reduced. There
  /// are no buffers yet.
  TransientSlots(const ShardPlan& plan, std::int64_t units, std::size_t shards);
  void allocate(Context& context, DType dtype);

  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }
  /// The groups that a unit uses. There are none before the first unit and after the last.
  [[nodiscard]] std::vector<std::size_t> groups_of(std::int64_t unit) const;
  [[nodiscard]] std::size_t slot_of(std::size_t shard) const { return slot_[shard]; }
  /// The buffer of a bucket, [bucket.size].
  [[nodiscard]] Tensor place_of(std::size_t shard) const;
  /// The elements of all slots.
  [[nodiscard]] std::int64_t elements() const { return size_[0] + size_[1] + size_[2]; }

 private:
  void add_shared_group(std::size_t shard);
  void add_unit_group(std::int64_t unit);

  const ShardPlan* plan_;
  std::vector<Group> groups_;
  std::vector<std::vector<std::size_t>> of_unit_;
  std::vector<std::size_t> slot_;            // of each bucket
  std::vector<std::int64_t> place_;          // where each bucket begins in its slot
  std::array<std::int64_t, kSlots> size_{};  // in elements
  std::array<Tensor, kSlots> buffers_;
};

}  // namespace granule
