// What ranks tell each other at the end of a step.
#pragma once
#include "apps/training/stop_signals.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// What one rank has, or all have together: what a signal asks for, and the highest peak of memory.
struct StepEnd {
  SignalRequest request{};
  std::int64_t peak_bytes = 0;
};

/// Ranks may have received different signals. If the first rank has one, that one counts.
[[nodiscard]] StepEnd agree_on_step_end(Communicator& ranks, const StepEnd& mine);

}  // namespace granule
