// How parameters lie in the flat arena: unit by unit, and in a unit those that every rank holds before the
// experts. So parameters that are sharded over the same ranks are one range. Frozen parameters come after all
// trainable ones, so gradients have the same offsets and end earlier. It is arithmetic on declarations and
// needs no memory and no ranks.
#pragma once
#include <cstdint>

#include "core/allocator.hpp"

namespace granule {

enum class ParameterGroup : std::uint8_t { dense, expert };

/// Blocks start at multiples of this many elements, which are kAlignment bytes in f32.
inline constexpr std::int64_t kBlockElements = kAlignment / 4;

/// The parameters of one unit (embedding, each block, head) and one group that are trainable, or that are
/// frozen. They are a contiguous range of the arena.
struct Bucket {
  std::int64_t unit = 0;
  ParameterGroup group = ParameterGroup::dense;
  /// The last unit that uses it. That is its own unit, unless it is an embedding that is also the head.
  std::int64_t last_user = 0;
  std::int64_t offset = 0, size = 0;  ///< elements, padding included
  bool trainable = true;              ///< whether it has gradients, and an optimizer changes it
};

/// Over how many ranks the buckets of each group can be sharded evenly. A bucket's size is a multiple of
/// kBlockElements times this number.
struct ArenaLayout {
  std::int64_t dense_parts = 1, expert_parts = 1;
};

}  // namespace granule
