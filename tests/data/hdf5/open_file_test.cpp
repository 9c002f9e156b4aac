// How HDF5 files are opened: on file systems without locks, while others write them, and when there are more
// than a process may have open.
#include <cerrno>
#include <fstream>

#include <hdf5.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/error.hpp"
#include "data/sampling/token_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hdf5_file.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace {
int flock_error = 0;  // the error with which flock() fails; 0 if it works
}  // namespace

// This replaces the C library's function in this test program and in the HDF5 library.
extern "C" int flock(int fd, int operation) noexcept {
  if (flock_error != 0) {
    errno = flock_error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_flock, fd, operation));
}

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::Hdf5File;
using test::patterned_documents;
using test::TempDir;
using test::user_error_of;
using test::write_shard;

struct BrokenLocks {
  explicit BrokenLocks(int error) { flock_error = error; }
  ~BrokenLocks() { flock_error = 0; }
  BrokenLocks(const BrokenLocks&) = delete;
  BrokenLocks& operator=(const BrokenLocks&) = delete;
};

void write_compressed(const fs::path& path, std::int32_t first) {
  ShardWriter writer({50, 1, 2, ""}, Hdf5Layout::compressed);
  writer.add_document(std::vector<std::int32_t>{first % 50, 3, 4}, 9);
  writer.write(path);
}

TEST_CASE("open_file: shards are written and read where the file system has no locks") {
  const TempDir dir;
  {
    const Hdf5File pool(dir / "pool.h5"), link(dir / "train-1.h5"), row(dir / "train-2.h5");
    pool.dataset("data", {1, 2, 3});
    link.external_link("data", "pool.h5", "/data");
    row.virtual_dataset("data", 3, {{.begin = 0, .size = 3, .file = "pool.h5"}});
  }
  const BrokenLocks broken(GENERATE(ENOSYS, ENOLCK, EOPNOTSUPP));
  write_compressed(dir / "train-0.h5", 7);
  const TokenSource source(dir.path(), Split::train);
  std::vector<std::int32_t> ids(9);
  source.read(0, ids);
  CHECK(ids == std::vector<std::int32_t>{7, 3, 4, 1, 2, 3, 1, 2, 3});
}

TEST_CASE("open_file: a file that another program writes is said to be so, and not to be damaged") {
  const TempDir dir;
  write_compressed(dir / "train-0.h5", 7);
  const int fd = ::open((dir / "train-0.h5").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(fd, LOCK_EX) == 0);
  const std::string locked = user_error_of([&] { ShardReader{dir / "train-0.h5"}; });
  CHECK_THAT(locked, Contains("another program has the file open for writing") && !Contains("damaged"));
  REQUIRE(::flock(fd, LOCK_SH) == 0);  // another reader
  CHECK_NOTHROW(ShardReader{dir / "train-0.h5"});
  ::close(fd);
  {
    // Newer formats have a mark in the file itself.
    const Hdf5File open(dir / "open.h5", Hdf5File::Version::latest);
    open.dataset("data", {1, 2, 3});
    open.flush();
    fs::copy_file(dir / "open.h5", dir / "marked.h5");
  }
  const std::string marked = user_error_of([&] { ShardReader{dir / "marked.h5"}; });
  CHECK_THAT(marked, Contains("the file is marked as open for writing") && Contains("h5clear"));
}

TEST_CASE("open_file: compressed shards may be more than a process may have open files") {
  const TempDir dir(TempDir::Where::memory);
  constexpr int kShards = 90;
  for (int i = 0; i < kShards; ++i) write_compressed(dir / fmt::format("train-{:05}.h5", i), i);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{60, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  const TokenSource source(dir.path(), Split::train);
  source.require_vocabulary(50, "");
  std::vector<std::int32_t> ids(3 * kShards);
  source.read(0, ids);
  setrlimit(RLIMIT_NOFILE, &before);
  for (int i = 0; i < kShards; ++i) CHECK(ids[static_cast<std::size_t>(3 * i)] == i % 50);
}

TEST_CASE("open_file: a shard that changes while it is read is noticed when it is opened again") {
  const TempDir dir(TempDir::Where::memory);
  for (int i = 0; i < 40; ++i) write_compressed(dir / fmt::format("train-{:05}.h5", i), i);
  const TokenSource source(dir.path(), Split::train);
  fs::remove(dir / "train-00000.h5");
  write_compressed(dir / "train-00000.h5", 9);
  std::vector<std::int32_t> ids(3);
  CHECK_THAT(user_error_of([&] { source.read(0, ids); }), Contains("removed or changed while it was read"));
}

}  // namespace
}  // namespace granule
