#include "core/profile.hpp"

#include <thread>

#include "tests/support/catch.hpp"

using namespace granule;

namespace {

/// The test says how long the device computes between two marks.
class HandClock final : public DeviceClock {
 public:
  void compute(double seconds) { now_ += seconds; }
  void break_marks() { works_ = false; }

  std::int64_t mark() noexcept override {
    if (!works_) return kNoMark;
    marks_.push_back(now_);
    return std::ssize(marks_) - 1;
  }
  std::vector<double> take_marks() override {
    std::vector<double> taken;
    for (const double mark : marks_) taken.push_back(mark - marks_.front());
    marks_.clear();
    return taken;
  }

 private:
  double now_ = 100.0;
  bool works_ = true;
  std::vector<double> marks_;
};

constexpr double kRounding = 1e-12;  // of differences of moments about 100

}  // namespace

TEST_CASE("profile: phases are recorded from start() on, and reset() forgets them") {
  Profile profile;
  { const PhaseTimer timer(profile, "early"); }
  CHECK(profile.seconds().empty());
  profile.start();
  {
    const PhaseTimer timer(profile, "step");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const PhaseTimer inner(profile, "part");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  CHECK(profile.seconds().at("part") >= 0.002);
  CHECK(profile.seconds().at("step") >= profile.seconds().at("part") + 0.002);
  CHECK(profile.waits() == 0);
  profile.reset();
  CHECK(profile.seconds().empty());
}

TEST_CASE("profile: on a device with a clock, a phase has the seconds of its kernels") {
  HandClock clock;
  Profile profile(&clock);
  profile.start();
  for (int step = 0; step < 2; ++step) {
    const PhaseTimer timer(profile, "forward");
    clock.compute(1.0);
    {
      const PhaseTimer inner(profile, "linear");
      clock.compute(0.25);
    }
    clock.compute(0.5);
  }
  clock.compute(8.0);  // in no phase
  CHECK(profile.waits() == 0);
  CHECK(profile.seconds().at("forward") == Approx(3.5).margin(kRounding));
  CHECK(profile.seconds().at("linear") == Approx(0.5).margin(kRounding));
  CHECK(profile.waits() == 1);  // all of them together
}

TEST_CASE("profile: phases of a device go on adding up after they were read") {
  HandClock clock;
  Profile profile(&clock);
  profile.start();
  for (int step = 1; step <= 3; ++step) {
    {
      const PhaseTimer timer(profile, "forward");
      clock.compute(1.0);
    }
    CHECK(profile.seconds().at("forward") == Approx(step).margin(kRounding));
  }
  profile.start();
  CHECK(profile.seconds().empty());
}

TEST_CASE("profile: a phase without a mark is left out, and takes no time from others") {
  HandClock clock;
  Profile profile(&clock);
  profile.start();
  {
    const PhaseTimer timer(profile, "marked");
    clock.compute(1.0);
  }
  {
    const PhaseTimer timer(profile, "lost");
    clock.break_marks();
    clock.compute(1.0);
  }
  CHECK(profile.seconds().at("marked") == Approx(1.0).margin(kRounding));
  CHECK(profile.seconds().at("lost") == 0.0);
}
