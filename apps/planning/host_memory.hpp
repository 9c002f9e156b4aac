// The memory that this host has for its ranks, compared with what a plan says they need.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "apps/planning/plan_request.hpp"

namespace granule {

struct MemoryRoom {
  std::int64_t bytes = 0;
  std::string of;  ///< what has no more: "this host", or the cgroup that limits this process
};

/// How much memory this process may still take. It is the least of what the machine and each of its cgroups
/// (version 1 and 2, up to the root) have. Pages of files and swap count as free, because the system gives
/// them away. Absent if the system does not tell. `root` is put before the paths of /proc and of the cgroups.
[[nodiscard]] std::optional<MemoryRoom> memory_room(const std::filesystem::path& root = "/");

/// Throws exit code 71 and names keys that help if the `ranks_here` ranks of this host need more than `room`.
/// Beside accelerators they need what is offloaded. The check assumes that tokens spread evenly over experts.
/// What fits, or nearly fits, passes.
void require_memory(const PlanRequest& request, std::int64_t ranks_here, const MemoryRoom& room);

}  // namespace granule
