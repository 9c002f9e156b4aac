#include "distributed/wait_guard.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace granule {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kLook = 0.1;  // seconds between two looks
/// A longer pause between two looks means that the process was stopped, and does not count as waiting.
constexpr double kLongestLook = 1.0;

}  // namespace

WaitGuard::WaitGuard(WaitOptions options) : options_(std::move(options)), thread_([this] { watch(); }) {}

WaitGuard::~WaitGuard() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool WaitGuard::pause(double seconds) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return over_; });
}

void WaitGuard::watch() {
  double waited = 0.0;
  bool said = false;
  auto looked = Clock::now();
  while (pause(kLook)) {
    const auto now = Clock::now();
    waited += std::min(std::chrono::duration<double>(now - looked).count(), kLongestLook);
    looked = now;
    if (!said && waited > options_.say_seconds) {
      said = true;
      options_.say(
          fmt::format("has waited for {} s in {}: {}", std::lround(waited), options_.what, options_.advice));
    }
    if (waited <= options_.limit_seconds) continue;
    options_.end(fmt::format("{} did not return within {:g} s: {}", options_.what, options_.limit_seconds,
                             options_.advice));
    return;
  }
}

}  // namespace granule
