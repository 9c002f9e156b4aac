// An HDF5 file that is opened for reading as often as it is needed. Few files are open at any time, even if
// there are many. Only data/hdf5 uses it.
#pragma once
#include <filesystem>

#include <sys/stat.h>

#include "data/hdf5/handle.hpp"

namespace granule::hdf5 {

class OpenFile {
 public:
  /// Throws a user error for anything that is not a readable, regular HDF5 file, and for one that somebody is
  /// writing.
  explicit OpenFile(std::filesystem::path path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// HDF5's identifier. It is valid until another OpenFile returns its own. Call it within a Session. Throws
  /// a user error if the file has changed since it was first opened.
  [[nodiscard]] hid_t get();

 private:
  void open();
  void close();
  void require_unchanged() const;

  std::filesystem::path path_;
  struct stat first_ {};  // the file when it was first opened
  hid_t id_ = -1;
};

/// Throws a user error if an HDF5 program holds the lock that it takes while it writes. If locks do not work,
/// it cannot tell.
void require_no_writer(const std::filesystem::path& path);

/// The properties with which any file is opened for reading. It takes no locks, because not every file system
/// has them and nothing is written. The caller closes the identifier.
[[nodiscard]] hid_t reading_without_locks();

}  // namespace granule::hdf5
