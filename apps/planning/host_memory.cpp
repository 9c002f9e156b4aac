#include "apps/planning/host_memory.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "apps/planning/advice.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

/// A larger limit means that there is none. Version 1 writes the largest whole number of pages.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;
/// How exact a plan is, and also what the system calls free.
constexpr double kMargin = 1.03;

/// The number in a file of one value. Absent if it is missing, is "max", or is too large to be a limit.
std::optional<std::int64_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::int64_t value = 0;
  if (!(stream >> value) || value >= kNoLimit) return std::nullopt;
  return value;
}

/// Reads lines of the form "name value" or "Name: value kB".
std::map<std::string, std::int64_t> fields_of(const fs::path& file) {
  std::map<std::string, std::int64_t> fields;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t value = 0;
    if (words >> name >> value) fields[name] = value;
  }
  return fields;
}

std::int64_t field(const std::map<std::string, std::int64_t>& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? 0 : found->second;
}

struct Mount {
  fs::path point, root;  // the directory of the mount, and the part of the hierarchy that is there
  bool second = false;   // whether it is of version 2
};

/// Where the hierarchy of the memory controller is mounted, for each version that is.
std::vector<Mount> memory_mounts(const fs::path& root) {
  std::vector<Mount> mounts;
  std::ifstream stream(root / "proc/self/mountinfo");
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string id, parent, device, part, point, word, type, source, options;
    words >> id >> parent >> device >> part >> point;
    while (words >> word && word != "-") continue;
    words >> type >> source >> options;
    const bool second = type == "cgroup2";
    const bool first = type == "cgroup" && (',' + options + ',').find(",memory,") != std::string::npos;
    if (first || second) mounts.push_back({point, part, second});
  }
  return mounts;
}

/// The path of this process in the hierarchy. Absent if it has none.
std::optional<fs::path> path_in(const fs::path& root, bool second) {
  std::ifstream stream(root / "proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {
    const auto first_colon = line.find(':');
    const auto second_colon = line.find(':', first_colon + 1);
    if (second_colon == std::string::npos) continue;
    const std::string controllers = line.substr(first_colon + 1, second_colon - first_colon - 1);
    const bool memory = (',' + controllers + ',').find(",memory,") != std::string::npos;
    if (second ? controllers.empty() : memory) return line.substr(second_colon + 1);
  }
  return std::nullopt;
}

/// The directories of this process's groups, from its own to the one at the mount.
std::vector<fs::path> groups_of(const fs::path& root, const Mount& mount, const fs::path& path) {
  const fs::path top = root / mount.point.relative_path();
  fs::path inside = path.lexically_relative(mount.root);
  // A container may see its own group as the root, under a path that does not exist there.
  if (inside.empty() || *inside.begin() == ".." || !fs::is_directory(top / inside)) inside = ".";
  std::vector<fs::path> groups;
  for (fs::path at = (top / inside).lexically_normal();; at = at.parent_path()) {
    groups.push_back(at);
    if (at == top.lexically_normal() || at.filename().empty() || at == at.parent_path()) return groups;
  }
}

/// How much memory a group of version 2 has left, if it has a limit.
std::optional<std::int64_t> room_of_second(const fs::path& group, std::int64_t free_swap) {
  const auto limit = number_in(group / "memory.max");
  if (!limit) return std::nullopt;
  const auto stat = fields_of(group / "memory.stat");
  const auto swap_limit = number_in(group / "memory.swap.max");
  const std::int64_t swap =
      swap_limit ? std::clamp<std::int64_t>(
                       *swap_limit - number_in(group / "memory.swap.current").value_or(0), 0, free_swap)
                 : free_swap;
  const std::int64_t files = field(stat, "inactive_file") + field(stat, "active_file");
  return *limit - number_in(group / "memory.current").value_or(0) + files + swap;
}

/// The same for version 1, where a second limit may apply to memory and swap together.
std::optional<std::int64_t> room_of_first(const fs::path& group, std::int64_t free_swap) {
  const auto limit = number_in(group / "memory.limit_in_bytes");
  const auto both = number_in(group / "memory.memsw.limit_in_bytes");
  const auto stat = fields_of(group / "memory.stat");
  const std::int64_t files = field(stat, "total_inactive_file") + field(stat, "total_active_file");
  std::optional<std::int64_t> room;
  if (limit) room = *limit - number_in(group / "memory.usage_in_bytes").value_or(0) + files + free_swap;
  if (both) {
    const std::int64_t left = *both - number_in(group / "memory.memsw.usage_in_bytes").value_or(0) + files;
    room = std::min(room.value_or(left), left);
  }
  return room;
}

std::string shown(double bytes) {
  constexpr double kMiB = 1 << 20, kGiB = 1 << 30;
  return bytes < kGiB ? fmt::format("{:.1f} MiB", bytes / kMiB) : fmt::format("{:.1f} GiB", bytes / kGiB);
}

/// What would fit, as keys that the user can give.
std::string advice_text(const PlanRequest& request, const RankMemory& even, double bytes_of_rank) {
  const Advice advice = advise(request, even, rehearse(request, Routing::worst).memory, bytes_of_rank);
  const std::string others = "use a smaller model, shorter sequences, or more hosts";
  if (!advice.change) return others;
  std::string keys, ranks;
  for (const std::string& key : advice.change->keys) {
    if (key.starts_with("--ranks")) {
      ranks = key.substr(std::string_view("--ranks ").size());
    } else {
      keys += ' ' + key;
    }
  }
  if (ranks.empty()) return fmt::format("it fits with{}", keys);
  return fmt::format("no keys make it fit here: {} ranks with as much memory each could train it{}{}", ranks,
                     keys.empty() ? "" : " with", keys);
}

}  // namespace

std::optional<MemoryRoom> memory_room(const fs::path& root) {
  const auto machine = fields_of(root / "proc/meminfo");
  if (!machine.contains("MemAvailable:")) return std::nullopt;
  const std::int64_t free_swap = field(machine, "SwapFree:") * 1024;
  MemoryRoom least{machine.at("MemAvailable:") * 1024 + free_swap, "this host"};
  for (const Mount& mount : memory_mounts(root)) {
    const auto path = path_in(root, mount.second);
    if (!path) continue;
    for (const fs::path& group : groups_of(root, mount, *path)) {
      const auto room = mount.second ? room_of_second(group, free_swap) : room_of_first(group, free_swap);
      if (room && *room < least.bytes)
        least = {std::max<std::int64_t>(*room, 0), "the cgroup " + group.string()};
    }
  }
  return least;
}

void require_memory(const PlanRequest& request, std::int64_t ranks_here, const MemoryRoom& room) {
  GRANULE_CHECK(ranks_here >= 1, "{} ranks on this host", ranks_here);
  // What MPI keeps for its sums is an upper bound that few runs come near.
  PlanRequest without_staging = request;
  without_staging.carrier = Carrier::memory;
  const RankMemory even = rehearse(without_staging, Routing::even).memory;
  const auto rank = static_cast<double>(request.on_accelerator ? even.offloaded : even.peak);
  const double needed = rank * static_cast<double>(ranks_here);
  if (needed <= kMargin * static_cast<double>(room.bytes)) return;
  const std::string ranks =
      ranks_here == 1 ? std::string() : fmt::format(", {} for each of {} ranks", shown(rank), ranks_here);
  throw Error(ExitCode::out_of_memory,
              fmt::format("{} takes {} of memory{}, and {} has {} left",
                          request.on_accelerator ? "the optimizer's state beside the device" : "a step",
                          shown(needed), ranks, room.of, shown(static_cast<double>(room.bytes))),
              request.on_accelerator ? "parallel.offload" : "memory",
              request.on_accelerator
                  ? "leave it out, or shard the state over more ranks (parallel.zero=1)"
                  : advice_text(without_staging, even,
                                static_cast<double>(room.bytes) / static_cast<double>(ranks_here)));
}

}  // namespace granule
