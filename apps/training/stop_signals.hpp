// Signals that ask a run to save: SIGINT, SIGTERM and SIGUSR2 to finish the step, save and stop (a second one
// stops at once), SIGUSR1 to save and go on.
#pragma once

namespace granule {

enum class SignalRequest { none, save, stop };

/// Handles the four signals while it lives.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// What was asked for since the last call; a stop stays asked for.
  [[nodiscard]] SignalRequest take();
};

}  // namespace granule
