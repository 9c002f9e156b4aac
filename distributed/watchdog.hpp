// Ends a job that no longer moves: a rank that was stopped, sleeps or loops leaves the others waiting for
// ever. Not for ranks that crash (the launcher sees those) nor for ranks out of step (tickets find them).
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "core/movement.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

struct WatchdogOptions {
  /// How long a rank may stand still, in every phase but the one that a job starts in. 0: long_seconds in the
  /// phases named below and until a first step is done; else 20 times the median step, but least_seconds at
  /// the least.
  double seconds = 0.0;
  double least_seconds = 60.0;
  double long_seconds = 600.0;
  /// What may take long without a collective.
  std::vector<Phase> long_phases{"evaluation", "checkpoint"};
  /// In the phase "start", always: every byte of data and checkpoint is read there.
  double start_seconds = 3600.0;
  /// How long a rank that has spoken waits for others to speak before it ends the job.
  double grace_seconds = 1.0;
  /// Takes the line of this rank; called by the watchdog's thread. May be empty.
  std::function<void(std::string_view)> say{};
  /// Ends the process of a job of one rank, for which nobody waits: abort() is an exception there, and the
  /// watchdog's thread is not the one that hangs. Empty: the watchdog ends instead.
  std::function<void(const Error&)> end{};
};

/// How long a rank may stand still in a phase, after steps that took this long.
[[nodiscard]] double still_limit(const WatchdogOptions& options, std::string_view phase,
                                 std::span<const double> step_seconds);

/// One a rank, with a thread of its own, which looks at the rank's ledger: begin_step, begin_phase, every
/// collective entered, every message of one and every movement noted (core/movement.hpp) on the thread that
/// made the watchdog are moves. So a slow disk is no hang as long as it gives something; a read that stands
/// still as long as the limit is one. A rank that waits for another one stands still as well, so that every
/// living rank says where it is, and then the job ends by abort() with exit code 75. Time in which the
/// process itself was stopped does not count: a job that is suspended as a whole goes on. Ends, before
/// `ranks` does, where all ranks have met: a rank without a watchdog would wait for ever for one that hangs.
class Watchdog {
 public:
  Watchdog(Communicator& ranks, WatchdogOptions options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Sets WatchdogOptions::seconds: a job learns it when it has read its config.
  void set_seconds(double seconds);
  /// Called by the rank after every step.
  void step_took(double seconds);

 private:
  void watch();
  [[nodiscard]] double limit(std::string_view phase);
  /// False when the watchdog is to end.
  [[nodiscard]] bool pause(double seconds);
  /// Says that this rank stands still, gives others time to say so, and ends the job. False when it moves
  /// again.
  [[nodiscard]] bool raise_alarm(const RankStatus& status, double still);

  Communicator& ranks_;
  MovementListener listener_;
  WatchdogOptions options_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  bool ended_ = false;
  std::vector<double> step_seconds_;  // the last of them
  std::thread thread_;
};

}  // namespace granule
