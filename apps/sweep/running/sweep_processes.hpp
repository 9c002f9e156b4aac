// Runs the cells of a sweep as processes, one after another or several at once.
#pragma once
#include <filesystem>
#include <vector>

#include "apps/sweep/sweep_record.hpp"
#include "apps/training/stop_signals.hpp"

namespace granule {

struct SweepOutcome {
  std::vector<CellStatus> cells;
  int stopped = 0;  ///< the signal that stopped the sweep, or 0
};

/// Runs every cell that is not complete, `jobs` at once, and shares the cores out among them. A signal that
/// stops the sweep goes to the cells that run, which save and stop. A cell that fails is recorded, and the
/// others go on. sweep.json is rewritten whenever a cell begins or ends.
[[nodiscard]] SweepOutcome run_as_processes(const SweepPlan& plan, const std::filesystem::path& sweep,
                                            int jobs, StopSignals& signals);

}  // namespace granule
