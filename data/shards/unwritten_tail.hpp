// Zeros at the end of a shard of other software, which look like tokens that were never written.
#pragma once
#include <cstdint>

#include "data/shards/shard.hpp"

namespace granule {

/// How many tokens at the end of the shard are 0, if they are too many for a text: 1024, or 32 that are a
/// tenth of the shard. Otherwise 0. HDF5 cannot tell whether elements were written if their space was
/// allocated before. Shards of Granule appear whole, so they have no such tail.
[[nodiscard]] std::int64_t unwritten_tail(const ShardReader& shard);

}  // namespace granule
