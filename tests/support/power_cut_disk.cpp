#include "tests/support/power_cut_disk.hpp"

#include <fstream>

#include "core/error.hpp"

namespace granule::test {
namespace fs = std::filesystem;

PowerCutDisk::PowerCutDisk(fs::path root) : root_(std::move(root)) {
  scan(root_);
  remember();
}

std::size_t PowerCutDisk::scan(const fs::path& path) {
  const std::size_t index = nodes_.size();
  nodes_.emplace_back();
  if (fs::is_directory(path)) {
    nodes_[index].is_directory = true;
    for (const auto& entry : fs::directory_iterator(path)) {
      const std::size_t child = scan(entry.path());
      nodes_[index].synced[entry.path().filename()] = child;
    }
  } else {
    std::ifstream stream(path, std::ios::binary);
    nodes_[index].data.assign(std::istreambuf_iterator<char>(stream), {});
    nodes_[index].synced_size = nodes_[index].data.size();
  }
  return index;
}

PowerCutDisk::Entries PowerCutDisk::entries_of(const Node& directory, Unsynced unsynced,
                                               std::mt19937& random) {
  Entries entries = directory.synced;
  for (const Change& change : directory.pending) {
    if (unsynced == Unsynced::lost || (unsynced == Unsynced::any_part && random() % 2 == 0)) continue;
    const bool moves = !change.removed.empty() && !change.added.empty();
    if (moves && !entries.contains(change.removed)) continue;  // what it moves was lost
    if (!change.removed.empty()) entries.erase(change.removed);
    if (!change.added.empty()) entries[change.added] = change.node;
  }
  return entries;
}

std::size_t PowerCutDisk::find(const fs::path& path) const {
  std::mt19937 unused;
  std::size_t node = 0;
  for (const fs::path& part : fs::relative(path, root_)) {
    if (part == ".") continue;
    const Entries entries = entries_of(nodes_[node], Unsynced::kept, unused);
    GRANULE_CHECK(entries.contains(part), "power cut disk: {} is not there", path.string());
    node = entries.at(part);
  }
  return node;
}

void PowerCutDisk::change(const fs::path& path, Change change) {
  nodes_[find(path.parent_path())].pending.push_back(std::move(change));
  remember();
}

int PowerCutDisk::create(const char* path) {
  const int fd = Disk::create(path);
  if (fd < 0) return fd;
  nodes_.emplace_back();
  open_[fd] = nodes_.size() - 1;
  change(path, {"", fs::path(path).filename(), nodes_.size() - 1});
  return fd;
}

int PowerCutDisk::open_directory(const char* path) {
  const int fd = Disk::open_directory(path);
  if (fd >= 0) open_[fd] = find(path);
  return fd;
}

ssize_t PowerCutDisk::write(int fd, const void* data, std::size_t size) {
  const ssize_t written = Disk::write(fd, data, size);
  if (written > 0)
    nodes_[open_.at(fd)].data.append(static_cast<const char*>(data), static_cast<std::size_t>(written));
  remember();
  return written;
}

int PowerCutDisk::fsync(int fd) {
  std::mt19937 unused;
  Node& node = nodes_[open_.at(fd)];
  node.synced = entries_of(node, Unsynced::kept, unused);
  node.pending.clear();
  node.synced_size = node.data.size();
  remember();
  return 0;
}

int PowerCutDisk::rename(const char* from, const char* to) {
  const std::size_t node = find(from);
  const int result = Disk::rename(from, to);
  if (result == 0) change(to, {fs::path(from).filename(), fs::path(to).filename(), node});
  return result;
}

int PowerCutDisk::mkdir(const char* path) {
  const int result = Disk::mkdir(path);
  if (result != 0) return result;
  nodes_.emplace_back().is_directory = true;
  change(path, {"", fs::path(path).filename(), nodes_.size() - 1});
  return result;
}

int PowerCutDisk::unlink(const char* path) {
  const int result = Disk::unlink(path);
  if (result == 0) change(path, {fs::path(path).filename(), "", 0});
  return result;
}

int PowerCutDisk::rmdir(const char* path) {
  const int result = Disk::rmdir(path);
  if (result == 0) change(path, {fs::path(path).filename(), "", 0});
  return result;
}

void PowerCutDisk::build(const Nodes& nodes, std::size_t index, Unsynced unsynced, std::mt19937& random,
                         const fs::path& target) {
  const Node& node = nodes[index];
  if (node.is_directory) {
    fs::create_directory(target);
    for (const auto& [name, child] : entries_of(node, unsynced, random)) {
      build(nodes, child, unsynced, random, target / name);
    }
    return;
  }
  const std::size_t rest = node.data.size() - node.synced_size;
  const std::size_t more = unsynced == Unsynced::lost   ? 0
                           : unsynced == Unsynced::kept ? rest
                                                        : random() % (rest + 1);
  std::ofstream(target, std::ios::binary) << node.data.substr(0, node.synced_size + more);
}

void PowerCutDisk::restore(std::size_t state, Unsynced unsynced, std::mt19937& random,
                           const fs::path& target) const {
  build(states_.at(state), 0, unsynced, random, target);
}

}  // namespace granule::test
