// A disk that remembers, after every call, what would be left of a directory if the power failed at that
// moment. Kill -9 does not show this, because the page cache survives it.
#pragma once
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "data/files/disk.hpp"

namespace granule::test {

/// What happens to data and directory entries that were not synced. POSIX allows these three kinds.
enum class Unsynced { lost, kept, any_part };

class PowerCutDisk : public Disk {
 public:
  /// Everything below `root` now counts as synced. Calls must stay below it and rename within one directory.
  explicit PowerCutDisk(std::filesystem::path root);
  /// The number of states remembered so far. There is one after every call that changes something.
  [[nodiscard]] std::size_t states() const { return states_.size(); }
  /// Makes `target`, a new directory, with what is left after a power cut in that state.
  void restore(std::size_t state, Unsynced unsynced, std::mt19937& random,
               const std::filesystem::path& target) const;

  int create(const char* path) override;
  int open_directory(const char* path) override;
  ssize_t write(int fd, const void* data, std::size_t size) override;
  int fsync(int fd) override;
  int rename(const char* from, const char* to) override;
  int mkdir(const char* path) override;
  int unlink(const char* path) override;
  int rmdir(const char* path) override;

 private:
  using Entries = std::map<std::string, std::size_t>;  ///< name to node
  struct Change {
    std::string removed;  ///< the name that is removed, if any
    std::string added;    ///< the name that is added, if any
    std::size_t node = 0;
  };
  struct Node {
    bool is_directory = false;
    std::string data;
    std::size_t synced_size = 0;
    Entries synced;
    std::vector<Change> pending;  ///< for a directory, since its last sync
  };
  using Nodes = std::vector<Node>;  ///< the first is the root

  std::size_t scan(const std::filesystem::path& path);
  [[nodiscard]] std::size_t find(const std::filesystem::path& path) const;
  void change(const std::filesystem::path& path, Change change);
  void remember() { states_.push_back(nodes_); }
  static Entries entries_of(const Node& directory, Unsynced unsynced, std::mt19937& random);
  static void build(const Nodes& nodes, std::size_t node, Unsynced unsynced, std::mt19937& random,
                    const std::filesystem::path& target);

  std::filesystem::path root_;
  Nodes nodes_;
  std::map<int, std::size_t> open_;
  std::vector<Nodes> states_;
};

}  // namespace granule::test
