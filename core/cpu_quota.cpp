#include "core/cpu_quota.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace granule {
namespace {

namespace fs = std::filesystem;

enum class Version { none, one, two };

/// A mount of control groups that can hold a CPU quota.
struct Mount {
  Version version = Version::none;
  std::string group;  // as it is named at the place
  std::string place;
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream{std::string(text)};
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The kernel writes a space as \040, and escapes a few other characters in the same way.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
    i += 3;
  }
  return plain;
}

/// A line such as "36 35 0:30 / /sys/fs/cgroup rw shared:1 - cgroup2 cgroup rw" has numbers, the group, the
/// place, …, "-", the type, the source and options.
Mount mount_of(const std::string& line) {
  const std::vector<std::string> fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 5 || fields.end() - dash < 4) return {};
  Mount mount{.group = unescaped(fields[3]), .place = unescaped(fields[4])};
  if (dash[1] == "cgroup2") mount.version = Version::two;
  if (dash[1] == "cgroup" && holds(split(dash[3], ','), "cpu")) mount.version = Version::one;
  return mount;
}

/// The group of this process, from lines such as "0::/user.slice" and "4:cpu,cpuacct:/docker/3f".
std::string group_of(const fs::path& root, Version version) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool wanted = version == Version::two ? controllers.empty() : holds(split(controllers, ','), "cpu");
    if (wanted) return line.substr(second + 1);
  }
  return "/";
}

/// The path of the group below the mount. A container may see its own group as the mount's root.
std::string below(const Mount& mount, const std::string& group) {
  if (group.find("/..") != std::string::npos) return {};
  if (mount.group == "/") return group;
  if (group == mount.group) return {};
  return group.starts_with(mount.group + '/') ? group.substr(mount.group.size()) : std::string();
}

double ratio(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : std::numeric_limits<double>::infinity();
}

/// The quota of one group, or infinity if it sets none.
double quota_of(const fs::path& group, Version version) {
  double quota = -1, period = 100'000;
  if (version == Version::two) {
    std::ifstream(group / "cpu.max") >> quota >> period;  // "max 100000" does not begin with a number
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return ratio(quota, period);
}

}  // namespace

std::optional<double> cpu_quota(const fs::path& root) {
  double least = std::numeric_limits<double>::infinity();
  std::ifstream mounts(root / "proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const Mount mount = mount_of(line);
    if (mount.version == Version::none) continue;
    const fs::path top = root / fs::path(mount.place).relative_path();
    fs::path group = top / fs::path(below(mount, group_of(root, mount.version))).relative_path();
    if (!group.has_filename()) group = group.parent_path();
    for (; group != top && group.has_relative_path(); group = group.parent_path())
      least = std::min(least, quota_of(group, mount.version));
    least = std::min(least, quota_of(top, mount.version));
  }
  return least < std::numeric_limits<double>::infinity() ? std::optional(least) : std::nullopt;
}

}  // namespace granule
