#include <vector>

#include "data/shards/shard.hpp"
#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/reader.hpp"

namespace granule::fuzz {

void read(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  const ShardReader shard(file.path());
  shard.check_ids(60000);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(std::min<std::int64_t>(shard.tokens(), 1 << 16)));
  shard.read(0, ids);
}

}  // namespace granule::fuzz
