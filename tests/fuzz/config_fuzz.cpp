#include "apps/config/run_config.hpp"
#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/reader.hpp"

namespace granule::fuzz {

void read(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  static_cast<void>(load_run_config(file.path(), {}));
}

}  // namespace granule::fuzz
