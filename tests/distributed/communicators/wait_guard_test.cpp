// The time limit of a call that may never return.
#include "distributed/wait_guard.hpp"

#include <atomic>

#include "tests/support/catch.hpp"

using namespace granule;
using Catch::Contains;

namespace {

struct Heard {
  std::atomic<int> said = 0, ended = 0;
  std::string line, end;  // they are read after the guard is destroyed
};

WaitOptions options_of(Heard& heard, double say_seconds, double limit_seconds) {
  return {.what = "MPI_Init",
          .advice = "name a network",
          .say_seconds = say_seconds,
          .limit_seconds = limit_seconds,
          .say =
              [&heard](std::string_view line) {
                heard.line = line;
                ++heard.said;
              },
          .end =
              [&heard](std::string_view line) {
                heard.end = line;
                ++heard.ended;
              }};
}

void pause(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace

TEST_CASE("wait_guard: a wait is told of once, and ended once at its limit") {
  Heard heard;
  {
    const WaitGuard guard(options_of(heard, 0.15, 0.5));
    for (int i = 0; i < 1000 && heard.ended == 0; ++i) pause(0.01);
  }
  CHECK(heard.said == 1);
  CHECK(heard.ended == 1);
  CHECK_THAT(heard.line, Contains("s in MPI_Init: name a network"));
  CHECK(heard.end == "MPI_Init did not return within 0.5 s: name a network");
}

TEST_CASE("wait_guard: a wait that is over in time is not spoken of") {
  Heard heard;
  {
    const WaitGuard guard(options_of(heard, 0.5, 1.0));
    pause(0.05);
  }
  CHECK(heard.said + heard.ended == 0);
}
