#include "core/background.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

namespace granule {
namespace {

constexpr std::chrono::milliseconds kSpin{5};  // a message within a host takes much less
constexpr std::chrono::microseconds kNap{50};  // a wait becomes at most one percent longer by it

thread_local std::vector<Background*> all;

}  // namespace

Background::Background() {
  all.push_back(this);
}

Background::~Background() {
  std::erase(all, this);
}

bool has_background() {
  return !all.empty();
}

void wait_until(const std::function<bool()>& done) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    for (Background* const one : all) one->advance();
    if (done()) return;
    // Other ranks may share the core. A rank that is far behind must not be waited for with all of the core's
    // time.
    if (std::chrono::steady_clock::now() - begin < kSpin) {
      std::this_thread::yield();
    } else {
      for (Background* const one : all) one->advance_in_long_wait();
      std::this_thread::sleep_for(kNap);
    }
  }
}

void settle_background() {
  const auto settled = [] {
    return std::all_of(all.begin(), all.end(), [](const Background* one) { return one->settled(); });
  };
  if (!settled()) wait_until(settled);
}

}  // namespace granule
