#include "distributed/run_lock.hpp"

#include <csignal>

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "tests/support/temp_dir.hpp"

using granule::Error;
using granule::ExitCode;
using granule::RunLock;
using granule::test::TempDir;
using namespace std::chrono_literals;

namespace {

/// A process that takes the lock, says so through a pipe, and keeps it until it is killed.
pid_t start_owner(const std::filesystem::path& directory) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const RunLock lock(directory);
    (void)!write(ends[1], "x", 1);
    for (;;) pause();
  }
  char byte = 0;
  REQUIRE(read(ends[0], &byte, 1) == 1);
  close(ends[0]);
  close(ends[1]);
  return child;
}

void stop(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace

TEST_CASE("a second job is refused with exit code 73, the first one's host and process, and in good time") {
  const TempDir dir;
  const pid_t owner = start_owner(dir.path());
  const auto begin = std::chrono::steady_clock::now();
  try {
    const RunLock lock(dir.path(), 200ms);
    FAIL("locked twice");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::in_use);
    CHECK_THAT(error.what(), Catch::Contains(fmt::format("process {}", owner)) && Catch::Contains("host ") &&
                                 Catch::Contains(dir.path().string()));
  }
  const auto waited = std::chrono::steady_clock::now() - begin;
  CHECK(waited >= 200ms);
  CHECK(waited < 3s);
  stop(owner);
  CHECK_NOTHROW(RunLock(dir.path(), 0ms));  // free at once after kill -9
}

TEST_CASE("a lock that becomes free while one waits is taken") {
  const TempDir dir;
  const pid_t owner = start_owner(dir.path());
  const pid_t killer = fork();
  if (killer == 0) {
    usleep(300'000);
    kill(owner, SIGKILL);
    _exit(0);
  }
  CHECK_NOTHROW(RunLock(dir.path(), 5s));
  waitpid(killer, nullptr, 0);
  stop(owner);
}

TEST_CASE("a lock ends with its object, and a directory that is not there has none") {
  const TempDir dir;
  { const RunLock lock(dir.path()); }
  CHECK_NOTHROW(RunLock(dir.path(), 0ms));
  CHECK_THROWS_WITH(RunLock(dir / "absent"), Catch::Contains("cannot create the lock"));
}

TEST_CASE("a program started by the owner does not inherit the lock") {
  const TempDir dir;
  pid_t sleeper = 0;
  {
    const RunLock lock(dir.path());
    sleeper = fork();
    if (sleeper == 0) {
      execlp("sleep", "sleep", "30", nullptr);
      _exit(1);
    }
  }
  CHECK_NOTHROW(RunLock(dir.path(), 2s));  // between fork and exec the child still has it
  stop(sleeper);
}
