// What a process that takes stop signals does after one, after many, and after a second Ctrl-C.
#include "apps/training/stop_signals.hpp"

#include <algorithm>
#include <csignal>
#include <functional>
#include <set>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/catch.hpp"

using namespace granule;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

/// A child process that takes signals. When it is asked to stop, it ends a little later, as a run does.
class Child {
 public:
  explicit Child(std::chrono::milliseconds acts_after) {
    REQUIRE(pipe(ends_) == 0);
    pid_ = fork();
    if (pid_ == 0) run(acts_after);
    close(ends_[1]);
    std::string ready(1, ' ');
    REQUIRE(read(ends_[0], ready.data(), 1) == 1);
  }
  ~Child() { close(ends_[0]); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(int signal) const { REQUIRE(kill(pid_, signal) == 0); }
  [[nodiscard]] bool runs() { return waitpid(pid_, &status_, WNOHANG) == 0; }
  /// What waitpid() returns for it.
  [[nodiscard]] int status() {
    REQUIRE(waitpid(pid_, &status_, 0) == pid_);
    return status_;
  }
  /// Everything that it wrote, once it has ended.
  [[nodiscard]] std::string said() const {
    std::string text(4096, '\0');
    const ssize_t size = read(ends_[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

 private:
  [[noreturn]] void run(std::chrono::milliseconds acts_after) const {
    dup2(ends_[1], STDERR_FILENO);
    int code = 1;
    {
      StopSignals signals;
      signals.enter(StopSignals::Activity::step, 7);
      (void)!write(ends_[1], "r", 1);
      while (signals.stop() == 0) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(acts_after);
      code = signals.take().stop;
    }
    _exit(end_by({code}));
  }

  int ends_[2] = {-1, -1};
  pid_t pid_ = -1;
  int status_ = 0;
};

void pause(std::chrono::microseconds length) {
  std::this_thread::sleep_for(length);
}

}  // namespace

TEST_CASE("stop_signals: a process that a signal stops ends by that signal, after SIGUSR2 with success") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Child child(0ms);
    child.send(signal);
    const int status = child.status();
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == signal));
    CHECK_THAT(child.said(),
               Contains(std::string(name_of_signal(signal)) + ": finishing step 7, then saving; "));
  }
  Child child(0ms);
  child.send(SIGUSR2);
  CHECK(child.status() == 0);
  CHECK_THAT(child.said(), Contains("SIGUSR2: finishing step 7, then saving; "));
}

TEST_CASE(
    "stop_signals: signals to stop that come again before the first was acted upon are one, in any mixture") {
  const std::vector<std::vector<int>> storms{{SIGTERM, SIGTERM, SIGTERM},
                                             {SIGUSR2, SIGUSR2},
                                             {SIGINT, SIGINT, SIGINT},
                                             {SIGHUP, SIGTERM, SIGHUP},
                                             {SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGTERM}};
  for (const auto& storm : storms) {
    for (const auto gap : {0us, 500us, 3000us, 30000us}) {
      Child child(150ms);
      for (const int signal : storm) {
        child.send(signal);
        pause(gap);
      }
      const int status = child.status();
      // If several signals wait, the system chooses the first one. It takes them in the order of their
      // numbers.
      const int ended_by = WIFSIGNALED(status) ? WTERMSIG(status) : status == 0 ? SIGUSR2 : 0;
      CHECK(ended_by != SIGUSR1);
      CHECK(std::find(storm.begin(), storm.end(), ended_by) != storm.end());
    }
  }
}

TEST_CASE("stop_signals: only a second SIGINT, a second after one that was said, ends a process at once") {
  Child interrupted(10s), terminated(10s);
  interrupted.send(SIGINT);
  terminated.send(SIGTERM);
  pause(400ms);
  interrupted.send(SIGINT);
  pause(700ms);
  for (const int signal : {SIGTERM, SIGUSR2, SIGHUP}) {
    interrupted.send(signal);
    terminated.send(signal);
  }
  terminated.send(SIGINT);  // its first SIGINT
  pause(100ms);
  CHECK(interrupted.runs());
  CHECK(terminated.runs());
  interrupted.send(SIGINT);
  const int status = interrupted.status();
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGINT));
  CHECK_THAT(interrupted.said(),
             Contains("Ctrl-C (SIGINT) again, a second from now or later, stops at once") &&
                 Contains("SIGINT again: stopping at once, without saving"));
  terminated.send(SIGKILL);
  CHECK(terminated.status() != 0);
  CHECK_THAT(terminated.said(),
             Contains("SIGTERM: finishing step 7") && Contains("SIGINT: finishing step 7"));
}

TEST_CASE("stop_signals: a SIGHUP that is ignored, as under nohup, stays ignored") {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  Child child(0ms);
  std::signal(SIGHUP, before);
  child.send(SIGHUP);
  pause(30ms);
  CHECK(child.runs());
  child.send(SIGUSR2);
  CHECK(child.status() == 0);
}
