#include "distributed/watchdog.hpp"

#include <algorithm>
#include <chrono>

#include "distributed/cpu_wait.hpp"

namespace granule {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSteps = 20.0;
constexpr std::size_t kRemembered = 32;  // enough steps for a median
/// A longer pause between two looks means that the process was stopped, and does not count for the rank.
constexpr double kLongestLook = 5.0;  // in units of the pause that was asked for

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Often enough to be in time, and rarely enough to cost nothing.
double pause_for(double limit) {
  return std::min(limit / 20.0, 0.25);
}

std::string line_of(int rank, const RankStatus& status, double still) {
  const std::string last = status.collective.empty()
                               ? "no collective entered yet"
                               : fmt::format("last {} of group '{}'", status.collective, status.group);
  return fmt::format("rank {} has not moved for {:.1f} s: step {}, phase '{}', {}", rank, still, status.step,
                     status.phase, last);
}

}  // namespace

double still_limit(const WatchdogOptions& options, std::string_view phase,
                   std::span<const double> step_seconds) {
  if (phase == "start") return options.start_seconds;
  if (options.seconds > 0.0) return options.seconds;
  const bool is_long = std::any_of(options.long_phases.begin(), options.long_phases.end(),
                                   [&](const Phase& one) { return one.name() == phase; });
  if (is_long || step_seconds.empty()) return std::max(options.long_seconds, options.least_seconds);
  std::vector<double> sorted(step_seconds.begin(), step_seconds.end());
  const auto middle = sorted.begin() + std::ssize(sorted) / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  return std::max(options.least_seconds, kSteps * *middle);
}

Watchdog::Watchdog(Communicator& ranks, WatchdogOptions options)
    : ranks_(ranks),
      listener_([&ledger = ranks.ledger()] { ledger.move(); }),
      options_(std::move(options)),
      thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watchdog::set_seconds(double seconds) {
  ranks_.ledger().set_still_seconds(seconds);
  const std::scoped_lock lock(mutex_);
  options_.seconds = seconds;
}

void Watchdog::step_took(double seconds) {
  const std::scoped_lock lock(mutex_);
  if (step_seconds_.size() == kRemembered) step_seconds_.erase(step_seconds_.begin());
  step_seconds_.push_back(seconds);
}

double Watchdog::limit(std::string_view phase) {
  const std::scoped_lock lock(mutex_);
  return still_limit(options_, phase, step_seconds_);
}

bool Watchdog::pause(double seconds) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return ended_; });
}

void Watchdog::watch() {
  RankStatus last = ranks_.ledger().status();
  double still = 0.0, most = limit(last.phase);
  CpuWait cpu_wait;
  auto looked = Clock::now();
  while (pause(pause_for(most))) {
    double passed = std::min(seconds_since(looked), kLongestLook * pause_for(most));
    looked = Clock::now();
    // Ranks that wait for each other look for messages all the time, and wait for a CPU to do so.
    if (ranks_.size() == 1) passed = std::max(0.0, passed - cpu_wait.seconds());
    RankStatus now = ranks_.ledger().status();
    still = now.moves == last.moves ? still + passed : 0.0;
    last = std::move(now);
    most = limit(last.phase);
    if (still <= most) continue;
    if (raise_alarm(last, still)) return;
    still = 0.0;
  }
}

bool Watchdog::raise_alarm(const RankStatus& status, double still) {
  const auto say = [&](const std::string& line) {
    if (options_.say) options_.say(line);
  };
  say(line_of(ranks_.world_rank(), status, still));
  const auto start = Clock::now();
  while (seconds_since(start) < options_.grace_seconds) {
    if (!pause(pause_for(options_.grace_seconds))) return true;
    if (ranks_.ledger().status().moves == status.moves) continue;
    say(fmt::format("rank {} moves again", ranks_.world_rank()));
    return false;
  }
  try {
    ranks_.abort(ExitCode::hang,
                 fmt::format("the watchdog found a hang: nothing moved for {:.1f} s in step {}, "
                             "phase '{}'",
                             still, status.step, status.phase));
  } catch (const Error& error) {  // in thread ranks, the ranks that wait throw it
    if (ranks_.size() == 1 && options_.end) options_.end(error);
  }
  return true;
}

}  // namespace granule
