// The memory that this host has for the ranks on it, held against what a plan says they take.
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

/// What this process may still take: the least of what the machine and each of its cgroups (version 1 and 2,
/// up to the root) have. Pages of files and swap count as free, since the system gives them. Nothing is
/// returned where the system does not tell. `root` stands before the paths of /proc and of the cgroups.
[[nodiscard]] std::optional<MemoryRoom> memory_room(const std::filesystem::path& root = "/");

/// Throws exit code 71, with keys that help, when the `ranks_here` ranks of this host need more than `room`
/// even while tokens spread evenly over experts. What fits, or nearly fits, passes.
void require_memory(const PlanRequest& request, std::int64_t ranks_here, const MemoryRoom& room);

}  // namespace granule
