// An HDF5 file open for reading, as often as it is needed: few files are open at any time, however many there
// are. Private to data/hdf5.
#pragma once
#include <filesystem>

#include <sys/stat.h>

#include "data/hdf5/handle.hpp"

namespace granule::hdf5 {

class OpenFile {
 public:
  /// Throws a user error for anything that is not a readable, regular HDF5 file that nobody is writing.
  explicit OpenFile(std::filesystem::path path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// HDF5's identifier, good until another OpenFile is asked for its own. Called within a Session. Throws a
  /// user error when the file is no longer what it was at first.
  [[nodiscard]] hid_t get();

 private:
  void open();
  void close();
  void require_unchanged() const;

  std::filesystem::path path_;
  struct stat first_ {};  // what the file was when it was opened first
  hid_t id_ = -1;
};

/// Throws a user error when an HDF5 program holds the lock that it takes while it writes. Where locks do not
/// work, nothing can be said.
void require_no_writer(const std::filesystem::path& path);

/// The properties with which any file is opened for reading: without locks, because not every file system has
/// them and nothing is written. The caller closes them.
[[nodiscard]] hid_t reading_without_locks();

}  // namespace granule::hdf5
