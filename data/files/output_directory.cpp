#include "data/files/output_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/files/paths.hpp"
#include "data/files/run_lock.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

// A file of this name says that we may delete OUT.partial.
constexpr const char* kMarker = ".granule-partial";

// The path without a trailing slash and with links to the directory followed, because a rename replaces it.
fs::path resolved(const fs::path& out) {
  // There must be room for the temporary name of OUT.partial/train-00000.h5.
  require_path_fits(out, {.added = 16, .inside = 64});
  std::error_code error;
  fs::path path =
      fs::exists(out, error) ? fs::canonical(out, error) : fs::absolute(out, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (error || path.empty()) user_error("not a usable directory name", out.string(), "choose another --out");
  return path;
}

void require_new_or_empty(const fs::path& out) {
  std::error_code error;
  if (!fs::exists(out, error)) return;
  if (!fs::is_directory(out, error))
    user_error("exists and is not a directory", out.string(), "choose another --out");
  if (!fs::is_empty(out, error) || error)
    user_error("the directory is not empty", out.string(), "choose another --out");
}

}  // namespace

OutputDirectory::OutputDirectory(const fs::path& out, Disk& disk)
    : out_(resolved(out)), partial_(out_.string() + ".partial") {
  require_new_or_empty(out_);
  std::error_code error;
  fs::create_directories(partial_, error);
  if (error) {
    user_error(fmt::format("cannot create the directory: {}", error.message()), partial_.string(),
               "choose another --out");
  }
  lock(disk);
  try {
    clear();
    write_file(partial_ / kMarker, "");
  } catch (...) {
    ::close(lock_);
    throw;
  }
}

void OutputDirectory::lock(Disk& disk) {
  lock_ = ::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) {
    user_error(fmt::format("cannot open the directory: {}", std::strerror(errno)), partial_.string(),
               "remove it, as its owner, or choose another --out");
  }
  int failure = 0;
  do {
    failure = disk.flock(lock_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  } while (failure == EINTR);
  if (failure == EWOULDBLOCK) {
    ::close(lock_);
    throw Error(ExitCode::in_use, "another job is writing this output", partial_.string(),
                "wait for it to end");
  }
  if (failure != 0) missing_lock_ = missing_lock_text(partial_, failure);
}

void OutputDirectory::clear() const {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(partial_, error), end; !error && entry != end; entry.increment(error)) {
    entries.push_back(entry->path());
  }
  const auto marker = std::ranges::find(entries, partial_ / kMarker);
  if (!error && !entries.empty() && marker == entries.end()) {
    user_error("the directory is in the way and not ours", partial_.string(),
               "move it or choose another --out");
  }
  // The marker is last, so that the rest stays marked if this is interrupted.
  if (marker != entries.end()) std::iter_swap(marker, entries.end() - 1);
  for (const fs::path& entry : entries) {
    if (!error) fs::remove_all(entry, error);
  }
  if (error) io_error(fmt::format("cannot clear it: {}", error.message()), partial_.string(), "remove it");
}

void OutputDirectory::publish() {
  Disk& disk = Disk::system();
  if (disk.unlink((partial_ / kMarker).c_str()) != 0) throw_errno("remove the marker", partial_ / kMarker);
  sync_directory(partial_, disk);
  rename_durably(partial_, out_, disk);
  ::close(lock_);
  lock_ = -1;
}

OutputDirectory::~OutputDirectory() {
  if (lock_ < 0) return;
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
  ::close(lock_);
}

}  // namespace granule
