// How parameters lie in the flat arena: unit by unit, those that every rank holds before the experts, so that
// what ranks share out together is one range. Arithmetic on declarations: no memory, no ranks.
#pragma once
#include <cstdint>

#include "core/allocator.hpp"

namespace granule {

enum class ParameterGroup : std::uint8_t { dense, expert };

/// Blocks start at multiples of this many elements: kAlignment bytes in the smallest compute dtype.
inline constexpr std::int64_t kBlockElements = kAlignment / 4;

/// The parameters of one unit (embedding, each block, head) and one group: a contiguous range of the arena.
struct Bucket {
  std::int64_t unit = 0;
  ParameterGroup group = ParameterGroup::dense;
  /// The last unit that uses it: its own, but for an embedding that is also the head.
  std::int64_t last_user = 0;
  std::int64_t offset = 0, size = 0;  ///< elements, padding included
};

/// Over how many ranks the buckets of each group can be shared out evenly: a bucket's size is a multiple of
/// kBlockElements times that.
struct ArenaLayout {
  std::int64_t dense_parts = 1, expert_parts = 1;
};

}  // namespace granule
