#include "data/files/run_lock.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using granule::Error;
using granule::ExitCode;
using granule::RunLock;
using granule::test::TempDir;
using namespace std::chrono_literals;

namespace {

/// A process that the test starts. It ends at the latest with the object, even if the test fails.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) : pid_(fork()) {
    if (pid_ != 0) return;
    try {
      body();
    } catch (...) {  // only the parent continues the test
    }
    _exit(0);
  }
  ~Child() { stop(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  pid_t pid_;
};

/// Takes the lock, reports it through a pipe, and keeps it until it is killed.
class Owner {
 public:
  explicit Owner(const std::filesystem::path& directory)
      : ready_(open_pipe()), child_([&] {
          const RunLock lock(directory);
          (void)!write(ready_[1], "x", 1);
          for (;;) pause();
        }) {
    char byte = 0;
    REQUIRE(read(ready_[0], &byte, 1) == 1);
    for (const int end : ready_) close(end);
  }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  void stop() { child_.stop(); }

 private:
  static std::array<int, 2> open_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    return ends;
  }
  std::array<int, 2> ready_;
  Child child_;
};

}  // namespace

TEST_CASE(
    "run_lock: a second job is refused with exit code 73, the first one's host and process, and in good "
    "time") {
  const TempDir dir;
  Owner owner(dir.path());
  const auto begin = std::chrono::steady_clock::now();
  try {
    const RunLock lock(dir.path(), 200ms);
    FAIL("locked twice");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::in_use);
    CHECK_THAT(error.what(), Catch::Contains(fmt::format("process {}", owner.pid())) &&
                                 Catch::Contains("host ") && Catch::Contains(dir.path().string()));
  }
  const auto waited = std::chrono::steady_clock::now() - begin;
  CHECK(waited >= 200ms);
  CHECK(waited < 3s);
  owner.stop();
  CHECK_NOTHROW(RunLock(dir.path(), 0ms));  // the lock is free immediately after kill -9
}

TEST_CASE("run_lock: a lock that becomes free while one waits is taken") {
  const TempDir dir;
  Owner owner(dir.path());
  const Child killer([&] {
    usleep(300'000);
    kill(owner.pid(), SIGKILL);
  });
  CHECK_NOTHROW(RunLock(dir.path(), 5s));
}

TEST_CASE("run_lock: a lock ends with its object, and a directory that is not there has none") {
  const TempDir dir;
  { const RunLock lock(dir.path()); }
  CHECK_NOTHROW(RunLock(dir.path(), 0ms));
  CHECK_THROWS_WITH(RunLock(dir / "absent"), Catch::Contains("cannot create the lock"));
}

TEST_CASE("run_lock: a program started by the owner does not inherit the lock") {
  const TempDir dir;
  std::optional<Child> sleeper;
  {
    const RunLock lock(dir.path());
    sleeper.emplace([] { execlp("sleep", "sleep", "30", nullptr); });
  }
  CHECK_NOTHROW(RunLock(dir.path(), 2s));  // between fork and exec the child still has the lock
}

TEST_CASE("run_lock: a file system without locks is told, and only a lock that another job has is in use") {
  class Lockless : public granule::Disk {
   public:
    int error = 0;
    int flock(int, int) override {
      errno = error;
      return -1;
    }
  } disk;
  const TempDir dir;
  CHECK(RunLock(dir.path()).missing().empty());
  for (const int error : {ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL, EIO}) {
    disk.error = error;
    const RunLock lock(dir.path(), 0ms, disk);
    CHECK_THAT(lock.missing(), Catch::Contains(".lock: " + std::string(std::strerror(error))) &&
                                   Catch::Contains("make sure that no other job writes here"));
  }
  disk.error = EWOULDBLOCK;
  CHECK_THROWS_WITH(RunLock(dir.path(), 0ms, disk), Catch::Contains("another job uses the directory"));
}
