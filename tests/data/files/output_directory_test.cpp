// The lock of an output directory on a file system without locks, and a directory that another user owns.
#include "data/files/output_directory.hpp"

#include <cerrno>

#include <unistd.h>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::TempDir;
using granule::test::user_error_of;
namespace fs = std::filesystem;

namespace {

class Lockless : public Disk {
 public:
  explicit Lockless(int error) : error_(error) {}
  int flock(int, int) override {
    errno = error_;
    return -1;
  }

 private:
  int error_;
};

}  // namespace

TEST_CASE(
    "output_directory: where the file system has no locks an output is written without one, and that can be "
    "said") {
  for (const int error : {ENOSYS, ENOLCK, EOPNOTSUPP, EBADF}) {
    const TempDir dir;
    Lockless disk(error);
    OutputDirectory output(dir / "set", disk);
    CHECK_THAT(output.missing_lock(), Catch::Contains("set.partial") && Catch::Contains("no other job"));
    output.publish();
    CHECK(fs::is_directory(dir / "set"));
  }
  const TempDir dir;
  CHECK(OutputDirectory(dir / "set").missing_lock().empty());
  Lockless disk(EWOULDBLOCK);
  try {
    const OutputDirectory second(dir / "set", disk);
    FAIL("it was locked");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::in_use);
  }
}

TEST_CASE(
    "output_directory: an output that another user has begun is a matter of permissions, not of another "
    "job") {
  const TempDir dir;
  const fs::path partial = dir / "set.partial";
  fs::create_directory(partial);
  fs::permissions(partial, fs::perms::none);
  fs::permissions(dir.path(), fs::perms::all);
  // The superuser can open everything.
  const bool root = geteuid() == 0;
  if (root) REQUIRE(seteuid(65534) == 0);
  const std::string refusal = user_error_of([&] { OutputDirectory(dir / "set"); });
  if (root) REQUIRE(seteuid(0) == 0);
  CHECK_THAT(refusal, Catch::Contains("Permission denied (" + partial.string()));
}
