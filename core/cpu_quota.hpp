// How much of the machine's cores the control groups of Linux leave to this process: what a container, a job
// system or systemd has set as its CPU quota.
#pragma once
#include <filesystem>
#include <optional>

namespace granule {

/// In cores, such as 1.5: the smallest quota of the process's own group and of those above it that it can
/// see, of either version (cpu.max, or cpu.cfs_quota_us over cpu.cfs_period_us). Nothing where none is set,
/// or where the system has no control groups. `root` stands for "/".
[[nodiscard]] std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace granule
