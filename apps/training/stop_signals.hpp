// Signals that ask a run to save: SIGINT, SIGTERM, SIGHUP and SIGUSR2 to finish the step, save and stop,
// SIGUSR1 to save and go on.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <thread>

namespace granule {

/// What a run is asked to do.
struct SignalRequest {
  bool save = false;
  int stop = 0;  ///< the signal that stops the run; 0: none does
};

/// "SIGTERM"; the name of a signal that StopSignals takes.
[[nodiscard]] std::string_view name_of_signal(int signal);

/// A run has ended because of this signal.
struct StoppedBySignal {
  int signal;
};
/// The exit code that says so: 0 after SIGUSR2, else 128 + the signal's number. A process without a launcher
/// ends by the signal itself instead, so that a shell or a loop around it stops too, and this does not
/// return.
[[nodiscard]] int end_by(StoppedBySignal stopped);

/// Takes the signals while it lives, on a thread of its own, and blocks them in the calling thread to the end
/// of the process: one that is sent again must not change the exit code. Made before any other thread of the
/// process, which inherit that: a signal frame must not be put on the stack of a thread that computes, since
/// the generated code of a BLAS may use its stack pointer as it likes. A SIGHUP that is ignored, as nohup has
/// it, stays ignored.
///
/// The first signal that stops the run is said on stderr by the first rank. All that come later are the same
/// wish, in any number and mixture: launchers and job systems send a signal to a process, to its group and on
/// from one process to another. Only a SIGINT that comes a second or more after a first SIGINT was said ends
/// the process at once.
class StopSignals {
 public:
  /// What a signal that stops the run interrupts: the line says it.
  enum class Place { set_up, step, evaluation };

  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// What was asked for since the last call; a stop stays asked for.
  [[nodiscard]] SignalRequest take();
  /// The first signal that asked to stop; 0: none has.
  [[nodiscard]] int stop() const { return stop_; }
  /// What asked for a save until now has had it: one signal to a job reaches its ranks at different steps.
  void forget_saves() { save_ = false; }
  void enter(Place place, std::int64_t step);

 private:
  using Clock = std::chrono::steady_clock;
  void take(int signal);
  void say_stop(int signal) const;
  [[noreturn]] static void end_at_once();

  std::atomic<int> stop_{0};
  std::atomic<bool> save_{false}, finished_{false};
  std::atomic<Place> place_{Place::set_up};
  std::atomic<std::int64_t> step_{0};
  std::optional<Clock::time_point> interrupt_said_;  // the listener's: when the first SIGINT was
  std::thread listener_;
};

}  // namespace granule
