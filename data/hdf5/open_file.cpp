#include "data/hdf5/open_file.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/error.hpp"
#include "data/files/files.hpp"

namespace granule::hdf5 {
namespace {

constexpr std::size_t kMostOpen = 32;  // far below any limit of open files

/// The open files, the least recently used first. The library's lock guards them.
std::vector<OpenFile*>& open_files() {
  static std::vector<OpenFile*> files;
  return files;
}

[[noreturn]] void cannot_open(const std::filesystem::path& path) {
  const std::string reason = last_error();
  if (reason.find("already open for") != std::string::npos) {
    user_error("the file is marked as open for writing", path.string(),
               "wait until the program that writes it is done; if that was killed, run h5clear -s FILE");
  }
  if (reason.find("Too many open files") != std::string::npos) {
    user_error("cannot open the file: too many files are open", path.string(),
               "raise the limit with ulimit -n");
  }
  const char* const advice = reason.find("Permission denied") != std::string::npos
                                 ? "check its permissions"
                                 : "the file is damaged or was written by something else; build it again";
  user_error(fmt::format("not a readable HDF5 file: {}", reason), path.string(), advice);
}

}  // namespace

void require_no_writer(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const bool written = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  if (!written) return;
  user_error("another program has the file open for writing", path.string(),
             "close it there, or wait until it is done");
}

hid_t reading_without_locks() {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_file_locking(access, false, true);
  return access;
}

OpenFile::OpenFile(std::filesystem::path path) : path_(std::move(path)) {
  require_regular_file(path_);
  ::stat(path_.c_str(), &first_);
  require_no_writer(path_);
  const Session session;
  open();
}

OpenFile::~OpenFile() {
  const Session session;
  close();
}

void OpenFile::open() {
  std::vector<OpenFile*>& files = open_files();
  while (files.size() >= kMostOpen) files.front()->close();
  const Handle access(reading_without_locks(), H5Pclose);
  id_ = H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get());
  if (id_ < 0) cannot_open(path_);
  files.push_back(this);
}

void OpenFile::close() {
  if (id_ < 0) return;
  H5Fclose(std::exchange(id_, -1));
  std::erase(open_files(), this);
}

void OpenFile::require_unchanged() const {
  struct stat now {};
  const bool same = ::stat(path_.c_str(), &now) == 0 && now.st_ino == first_.st_ino &&
                    now.st_size == first_.st_size && now.st_mtim.tv_sec == first_.st_mtim.tv_sec &&
                    now.st_mtim.tv_nsec == first_.st_mtim.tv_nsec;
  if (!same) {
    user_error("the file was removed or changed while it was read", path_.string(),
               "leave data as it is as long as a job reads it");
  }
}

hid_t OpenFile::get() {
  if (id_ >= 0) {
    std::vector<OpenFile*>& files = open_files();
    std::rotate(std::ranges::find(files, this), std::ranges::find(files, this) + 1, files.end());
  } else {
    require_unchanged();
    open();
  }
  return id_;
}

}  // namespace granule::hdf5
