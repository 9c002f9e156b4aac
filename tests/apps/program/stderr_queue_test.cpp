// What is written for a reader that reads late, slowly, or never. The program does not wait for it, and
// nothing important is lost.
#include "apps/program/stderr_queue.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace std::chrono_literals;
using Catch::Contains;
using Clock = std::chrono::steady_clock;

namespace {

/// A pipe and a queue that writes to it. The queue's thread never ends, so the queue is never destroyed.
struct Pipe {
  int ends[2] = {-1, -1};
  StderrQueue* queue = nullptr;

  Pipe() {
    REQUIRE(pipe(ends) == 0);
    queue = new StderrQueue(ends[1]);
  }
  [[nodiscard]] std::string read_until(const std::string& text) const {
    std::string all(1 << 16, '\0'), read;
    while (read.find(text) == std::string::npos) {
      const ssize_t size = ::read(ends[0], all.data(), all.size());
      REQUIRE(size > 0);
      read.append(all, 0, static_cast<std::size_t>(size));
    }
    return read;
  }
};

}  // namespace

TEST_CASE("stderr_queue: nobody waits for a reader that does not read, and it gets all but progress later") {
  static const Pipe pipe;
  const auto start = Clock::now();
  constexpr int kLines = 20'000;
  for (int i = 0; i < kLines; ++i) {
    pipe.queue->write_progress("step 1/2  ce 3.1415\n");
    if (i % 1000 == 0) pipe.queue->write(fmt::format("warning {}\n", i / 1000));
  }
  pipe.queue->write("the last word\n");
  CHECK(Clock::now() - start < 1s);
  std::string said = pipe.read_until("nobody read them\n");
  // 20 warnings, the last line and the notice are not progress.
  const auto shown = std::count(said.begin(), said.end(), '\n') - 22;
  CHECK_THAT(said, Contains("warning 0\n") && Contains("warning 19\n") && Contains("the last word\n"));
  CHECK_THAT(said, Contains(fmt::format("granule: {} lines of progress were not shown", kLines - shown)));
  CHECK(shown > 1000);
  pipe.queue->write_progress("again\n");
  CHECK(pipe.read_until("again\n") == "again\n");
}

TEST_CASE("stderr_queue: at the end a reader is given some seconds, and more only while it reads") {
  static const Pipe pipe;
  pipe.queue->write(std::string(300'000, '.'));
  const auto start = Clock::now();
  pipe.queue->drain();
  const auto waited = Clock::now() - start;
  CHECK(waited > 1900ms);
  CHECK(waited < 5s);
  std::thread reader([] { static_cast<void>(pipe.read_until("\n")); });
  pipe.queue->write("\n");
  pipe.queue->drain();
  reader.join();
}

TEST_CASE("stderr_queue: a file has everything at once, and a reader that is gone is no error") {
  const test::TempDir directory;
  test::write_text(directory / "file", "");
  std::FILE* const file = std::fopen((directory / "file").c_str(), "a");
  StderrQueue to_file(fileno(file));
  for (int i = 0; i < 10'000; ++i) to_file.write_progress("0123456789\n");
  CHECK(std::filesystem::file_size(directory / "file") == 110'000);
  std::fclose(file);

  const auto before = std::signal(SIGPIPE, SIG_IGN);
  static const Pipe pipe;
  close(pipe.ends[0]);
  pipe.queue->write("to nobody\n");
  pipe.queue->drain();
  pipe.queue->write("to nobody\n");
  pipe.queue->drain();
  std::signal(SIGPIPE, before);
}
