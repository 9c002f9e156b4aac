// Ends a job that makes no progress: if a rank was stopped, sleeps or loops, the others would wait for ever.
// Ranks that crash are the launcher's business, and tickets find ranks that are out of step.
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
  /// How long a rank may make no progress, in every phase but the start. 0 means long_seconds in long_phases
  /// and until the first step is done; afterwards 20 times the median step, but at least least_seconds.
  double seconds = 0.0;
  double least_seconds = 60.0;
  double long_seconds = 600.0;
  /// Phases that may take long without a collective.
  std::vector<Phase> long_phases{"evaluation", "checkpoint"};
  /// Always the limit of the phase "start", which reads every byte of data and checkpoint.
  double start_seconds = 3600.0;
  /// How long a rank that has reported waits for the reports of others before it ends the job.
  double grace_seconds = 1.0;
  /// Takes the line of this rank. The watchdog's thread calls it. May be empty.
  std::function<void(std::string_view)> say{};
  /// Ends the process of a job of one rank, for which nobody waits. abort() would only throw there, in the
  /// watchdog's thread and not in the one that hangs. If this is empty, only the watchdog ends.
  std::function<void(const Error&)> end{};
};

/// How long a rank may make no progress in a phase, after steps that took this long.
[[nodiscard]] double still_limit(const WatchdogOptions& options, std::string_view phase,
                                 std::span<const double> step_seconds);

/// Every rank has a watchdog, a thread that reads the rank's ledger. Progress is begin_step, begin_phase, a
/// collective that is entered, and a message of one. A movement (core/movement.hpp) on the thread that made
/// the watchdog is progress too. So a slow disk is no hang as long as data arrive, but a single read that
/// gives nothing for the whole limit is one. A rank that waits for others makes progress as long as one of
/// them moves. Otherwise every living rank says where it is, and abort() ends the job with exit code 75. Time
/// in which the process itself was stopped does not count, so a job that is suspended as a whole goes on. In
/// a job of one rank, time in which its threads waited for a CPU does not count either. The watchdogs must
/// end before `ranks` does, after all ranks have met. A rank without a watchdog would wait for ever for one
/// that hangs.
class Watchdog {
 public:
  Watchdog(Communicator& ranks, WatchdogOptions options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Sets WatchdogOptions::seconds, which a job knows only after it has read its config.
  void set_seconds(double seconds);
  /// The rank calls it after every step.
  void step_took(double seconds);

 private:
  void watch();
  [[nodiscard]] double limit(std::string_view phase);
  /// False if the watchdog must end.
  [[nodiscard]] bool pause(double seconds);
  /// Says that this rank makes no progress, gives others time to say so, and ends the job. Returns false if
  /// the rank makes progress again.
  [[nodiscard]] bool raise_alarm(const RankStatus& status, double still);

  Communicator& ranks_;
  MovementListener listener_;
  WatchdogOptions options_;
  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  bool ended_ = false;
  std::vector<double> step_seconds_;  // the last steps
  std::thread thread_;
};

}  // namespace granule
