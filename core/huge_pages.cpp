#include "core/huge_pages.hpp"

#include <memory>

#include <sys/mman.h>

namespace granule {

void prefer_huge_pages(std::byte* data, std::int64_t bytes) {
  void* first = data;
  auto room = static_cast<std::size_t>(bytes);
  if (std::align(kHugePage, kHugePage, first, room) == nullptr) return;
  madvise(first, room / kHugePage * kHugePage, MADV_HUGEPAGE);
}

}  // namespace granule
