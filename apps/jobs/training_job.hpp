// A training job: everything from what its ranks read to the last checkpoint.
#pragma once
#include <optional>

#include "apps/runs/run_status.hpp"
#include "apps/runs/train_arguments.hpp"
#include "apps/training/stop_signals.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

struct JobEnd {
  int stopped = 0;              ///< the signal that stopped the run, or 0
  std::optional<RunEnd> run{};  ///< only on rank 0, and not of a dry run
};

/// Trains the run of the arguments on all ranks. Throws AgreedError for errors that all of them know, and
/// Interrupted if a signal comes before the first step. This is a collective.
[[nodiscard]] JobEnd train_together(Communicator& ranks, StopSignals& signals,
                                    const TrainArguments& arguments);

}  // namespace granule
