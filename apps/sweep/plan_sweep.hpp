// Everything that a sweep decides before it runs.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/sweep/sweep_record.hpp"

namespace granule {

/// Several ranks plan alike, and one of them predicts times for all.
enum class Predict : bool { no, yes };

struct SweepRequest {
  std::filesystem::path config, out;  ///< `out` is empty in a dry run without a directory
  std::vector<std::string> overrides;
  std::int64_t ranks = 1;       ///< of each cell's run
  std::int64_t ranks_here = 1;  ///< of all cells that run at once on this host
  Predict predict = Predict::yes;
};

/// Reads the config and the data, solves for widths, looks at what the directory has, and predicts times.
/// Throws user errors, and exit code 71 if cells that run at once need more memory than this host has. Throws
/// Interrupted. Nothing is written.
[[nodiscard]] SweepPlan plan_sweep(const SweepRequest& request);

/// Throws a user error that lists the cells whose directories have runs of another config.
void refuse_changed_cells(const SweepPlan& plan, const std::filesystem::path& sweep);

}  // namespace granule
