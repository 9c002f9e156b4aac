// Signals that ask a run to save. After SIGINT, SIGTERM, SIGHUP and SIGUSR2 it finishes the step, saves and
// stops. After SIGUSR1 it saves and continues.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <thread>

namespace granule {

/// What signals ask a run to do.
struct SignalRequest {
  bool save = false;
  int stop = 0;  ///< the signal that stops the run; 0 if there is none
};

/// The name of a signal that StopSignals takes, such as "SIGTERM".
[[nodiscard]] std::string_view name_of_signal(int signal);

/// Says that a run has ended because of this signal.
struct StoppedBySignal {
  int signal;
};
/// Returns the exit code for the signal: 0 after SIGUSR2, else 128 + the signal's number. A process without a
/// launcher ends by the signal itself, so that a shell or a loop around it stops too. In that case this does
/// not return.
[[nodiscard]] int end_by(StoppedBySignal stopped);

/// Takes the signals on its own thread while it exists. They are blocked in the calling thread until the end
/// of the process, so that a repeated signal does not change the exit code.
///
/// Create it before any other thread, because threads inherit the blocking. A signal frame must not be put on
/// the stack of a thread that computes. The generated code of a BLAS may use its stack pointer in any way. If
/// SIGHUP is ignored, as under nohup, it stays ignored.
///
/// The first signal that stops the run is reported on stderr by the first rank. All later ones mean the same
/// request, in any number and mixture. Launchers and job systems send a signal to a process, to its group,
/// and from one process to another. There is one exception: a SIGINT that comes a second or more after a
/// first SIGINT was reported ends the process at once.
class StopSignals {
 public:
  /// What is being done when a signal stops the run. The message says it.
  enum class Activity { set_up, step, evaluation, sweep, watching };

  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// What was asked for since the last call. A stop remains asked for.
  [[nodiscard]] SignalRequest take();
  /// The first signal that asked to stop, or 0.
  [[nodiscard]] int stop() const { return stop_; }
  /// Forgets all requests to save, because a save has just been made. One signal to a job reaches its ranks
  /// at different steps.
  void forget_saves() { save_ = false; }
  void enter(Activity activity, std::int64_t step);

 private:
  using Clock = std::chrono::steady_clock;
  void take(int signal);
  void say_stop(int signal) const;
  [[noreturn]] static void end_at_once();

  std::atomic<int> stop_{0};
  std::atomic<bool> save_{false}, finished_{false};
  std::atomic<Activity> activity_{Activity::set_up};
  std::atomic<std::int64_t> step_{0};
  // The listener's time when the first SIGINT was reported.
  std::optional<Clock::time_point> interrupt_said_;
  std::thread listener_;
};

}  // namespace granule
