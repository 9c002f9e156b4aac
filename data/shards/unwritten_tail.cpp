#include "data/shards/unwritten_tail.hpp"

#include <algorithm>
#include <vector>

#include "core/interruption.hpp"
#include "core/movement.hpp"

namespace granule {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1} << 16;

std::int64_t zeros_at_end(const ShardReader& shard) {
  std::vector<std::int32_t> block;
  std::int64_t zeros = 0;
  for (std::int64_t end = shard.tokens(); end > 0; end -= std::ssize(block)) {
    interruption_point();
    block.resize(static_cast<std::size_t>(std::min(kBlock, end)));
    shard.read(end - std::ssize(block), block);
    note_movement();
    const auto last = std::find_if(block.rbegin(), block.rend(), [](std::int32_t id) { return id != 0; });
    zeros += last - block.rbegin();
    if (last != block.rend()) break;
  }
  return zeros;
}

}  // namespace

std::int64_t unwritten_tail(const ShardReader& shard) {
  if (shard.attributes().format) return 0;
  const std::int64_t zeros = zeros_at_end(shard);
  const bool too_many = zeros >= 1024 || (zeros >= 32 && 10 * zeros >= shard.tokens());
  return too_many ? zeros : 0;
}

}  // namespace granule
