#include "core/allocator.hpp"

#include <cstring>

#include "core/huge_pages.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

TEST_CASE("allocator: the heap gives aligned memory of any size, with huge pages or not") {
  HostHeap heap;
  const std::int64_t large = 2 * kHugePage;
  for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{1}, kAlignment + 1, large - 1, large,
                                   large + 1, large + kHugePage / 2}) {
    CAPTURE(bytes);
    std::byte* const data = heap.allocate(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % kAlignment == 0);
    if (bytes >= large) CHECK(reinterpret_cast<std::uintptr_t>(data) % kHugePage == 0);
    std::memset(data, 1, static_cast<std::size_t>(bytes));
    heap.release(data, bytes);
  }
}

TEST_CASE("allocator: a range without a whole huge page inside is left as it is") {
  alignas(64) std::byte few[64];
  prefer_huge_pages(few, sizeof few);
  prefer_huge_pages(nullptr, 0);
  few[63] = std::byte{1};
  CHECK(few[63] == std::byte{1});
}
