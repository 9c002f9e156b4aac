#include "core/memory_table.hpp"

#include <algorithm>

namespace granule {

std::string_view name_of(MemoryCategory category) {
  static constexpr std::array<std::string_view, kMemoryCategories> kNames{
      "weights", "gradients", "optimizer", "communication", "activations", "scratch", "statistics"};
  return kNames[static_cast<std::size_t>(category)];
}

void MemoryTable::Row::add(std::int64_t bytes) {
  current += bytes;
  peak = std::max(peak, current);
}

void MemoryTable::add(MemoryCategory category, std::int64_t bytes) {
  rows_[static_cast<std::size_t>(category)].add(bytes);
  total_.add(bytes);
}

}  // namespace granule
