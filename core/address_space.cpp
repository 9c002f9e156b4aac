#include "core/address_space.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include <sys/resource.h>
#include <unistd.h>

#include "core/arena.hpp"

namespace granule {

std::optional<std::int64_t> address_space_left() {
  // Pages of the whole address space, of five other kinds of memory, and of private data.
  std::array<std::int64_t, 6> pages{};
  std::ifstream used("/proc/self/statm");
  for (std::int64_t& count : pages) used >> count;
  std::optional<std::int64_t> least;
  for (const auto& [resource, in_use] : {std::pair(RLIMIT_AS, pages[0]), std::pair(RLIMIT_DATA, pages[5])}) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    const auto bytes = static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_cur, rlim_t{1} << 62));
    const std::int64_t left = std::max<std::int64_t>(bytes - in_use * sysconf(_SC_PAGE_SIZE), 0);
    least = std::min(least.value_or(left), left);
  }
  return least;
}

std::int64_t default_step_memory() {
  const auto left = address_space_left();
  const std::int64_t all = physical_memory();
  return left ? std::max(std::min(all, *left / 2), kAlignment) : all;
}

}  // namespace granule
