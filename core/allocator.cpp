#include "core/allocator.hpp"

#include <algorithm>
#include <cstdlib>

#include "core/error.hpp"
#include "core/huge_pages.hpp"

namespace granule {

std::byte* HostHeap::allocate(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(align_up(std::max<std::int64_t>(bytes, 1)));
  const bool large = bytes >= 2 * kHugePage;
  void* memory = nullptr;
  if (::posix_memalign(&memory, large ? kHugePage : kAlignment, size) != 0) {
    throw Error(ExitCode::out_of_memory,
                fmt::format("out of memory: {:.2f} GiB more were needed", double(bytes) / (1 << 30)),
                "allocation", "use a smaller model or batch, or more memory");
  }
  auto* const data = static_cast<std::byte*>(memory);
  if (large) prefer_huge_pages(data, bytes);
  return data;
}

void HostHeap::release(std::byte* data, std::int64_t) noexcept {
  std::free(data);
}

}  // namespace granule
