// How much of the machine's cores the control groups of Linux leave to this process. A container, a job
// system or systemd sets such a CPU quota.
#pragma once
#include <filesystem>
#include <optional>

namespace granule {

/// The quota in cores, such as 1.5. It is the smallest one of the process's own group and of the groups above
/// it that it can see. Both versions are read: cpu.max, and cpu.cfs_quota_us over cpu.cfs_period_us. The
/// result is absent if no group sets a quota, or if the system has no control groups. `root` replaces "/".
[[nodiscard]] std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace granule
