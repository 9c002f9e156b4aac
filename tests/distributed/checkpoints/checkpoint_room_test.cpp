// Whether a run has room for its checkpoints on its disk.
#include "core/error.hpp"
#include "distributed/checkpoints/checkpoint_writer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

/// A disk with this much free space.
struct SmallDisk final : Disk {
  explicit SmallDisk(unsigned long blocks) : free_blocks(blocks) {}
  unsigned long free_blocks;
  int statvfs(const char* path, struct ::statvfs* status) override {
    CHECK(fs::exists(path));
    *status = {};
    status->f_frsize = 1000;
    status->f_blocks = 1'000'000;
    status->f_bavail = free_blocks;
    return 0;
  }
};

/// A file system that does not tell its free space.
struct SilentDisk final : Disk {
  bool fails;
  explicit SilentDisk(bool fails_at_all) : fails(fails_at_all) {}
  int statvfs(const char*, struct ::statvfs* status) override {
    *status = {};
    return fails ? -1 : 0;
  }
};

/// Whether a run may save `saves` checkpoints of 2000 bytes on a disk with that many free bytes.
bool fits(const fs::path& run, std::int64_t free, std::int64_t keep, std::int64_t saves) {
  SmallDisk disk(static_cast<unsigned long>(free / 1000));
  try {
    require_room(run, 2000, keep, saves, disk);
    return true;
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    CHECK_THAT(error.what(), Catch::Contains("no room for checkpoints") && Catch::Contains(run.string()));
    return false;
  }
}

}  // namespace

TEST_CASE("require_room: a run needs room for one checkpoint more than it keeps, or for all it will save") {
  const TempDir dir;
  const fs::path fresh = dir / "a/run/that/is/not/there";
  CHECK(fits(fresh, 8000, 3, 100));
  CHECK_FALSE(fits(fresh, 7000, 3, 100));
  CHECK(fits(fresh, 4000, 3, 2));  // it saves only two
  CHECK_FALSE(fits(fresh, 3000, 3, 2));
  CHECK(fits(fresh, 2000, 0, 100));  // it keeps all, and what a user moves away is not known
  CHECK_FALSE(fits(fresh, 1000, 0, 100));
  CHECK(fits(fresh, 0, 3, 0));  // nothing is left to do
  CHECK_FALSE(fits(fresh, 8000, 1'000'000'000'000, 1'000'000'000'000));
}

TEST_CASE("require_room: checkpoints that are there count: a full set needs room for one") {
  const TempDir dir;
  save_steps(dir, {1, 2});
  CHECK(fits(dir.path(), 4000, 3, 100));
  CHECK_FALSE(fits(dir.path(), 3000, 3, 100));
  save_steps(dir, {3, 4, 5});
  CHECK(fits(dir.path(), 2000, 3, 100));
  CHECK_FALSE(fits(dir.path(), 1000, 3, 100));
}

TEST_CASE("require_room: a file system that does not tell its free space is not refused") {
  for (const bool fails : {true, false}) {
    SilentDisk disk(fails);
    CHECK_NOTHROW(require_room("/", 1 << 30, 3, 100, disk));
  }
}

TEST_CASE(
    "require_room: room is looked for on the disk that the checkpoints are on, where they are a link too") {
  class Asked : public Disk {
   public:
    fs::path place;
    int statvfs(const char* path, struct ::statvfs* status) override {
      place = fs::canonical(path);
      return Disk::statvfs(path, status);
    }
  } disk;
  const TempDir dir;
  fs::create_directories(dir / "big");
  fs::create_directories(dir / "run");
  require_room(dir / "run", 1, 1, 1, disk);
  CHECK(disk.place == fs::canonical(dir / "run"));
  fs::create_directory_symlink(dir / "big", dir / "run/checkpoints");
  require_room(dir / "run", 1, 1, 1, disk);
  CHECK(disk.place == fs::canonical(dir / "big"));
}
