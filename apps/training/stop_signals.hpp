// Signals that ask a run to save: SIGINT, SIGTERM and SIGUSR2 to finish the step, save and stop (a second one
// stops at once), SIGUSR1 to save and go on.
#pragma once
#include <atomic>
#include <thread>

namespace granule {

enum class SignalRequest { none, save, stop };

/// Takes the four signals while it lives, on a thread of its own, and blocks them in the calling thread. Made
/// before any other thread of the process, which inherit that: a signal frame must not be put on the stack of
/// a thread that computes, since the generated code of a BLAS may use its stack pointer as it likes.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// What was asked for since the last call; a stop stays asked for.
  [[nodiscard]] SignalRequest take();
  /// The signal that asked this process to stop; 0: none.
  [[nodiscard]] int stopped_by() const { return stopped_by_; }
  /// What asked for a save until now has had it: one signal to a job reaches its ranks at different steps.
  void forget_saves() { save_ = false; }

 private:
  void listen();

  std::atomic<int> stopped_by_{0};
  std::atomic<bool> stop_{false}, save_{false}, finished_{false};
  std::thread listener_;
};

}  // namespace granule
