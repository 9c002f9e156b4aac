// Everything that a sweep decides before it runs.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/sweep/sweep_record.hpp"

namespace granule {

struct SweepRequest {
  std::filesystem::path config, out;  ///< `out` is empty in a dry run without a directory
  std::vector<std::string> overrides;
  std::int64_t ranks = 1;  ///< of each cell's run
};

/// Reads the config and the data, solves for widths, looks at what the directory has, and predicts times.
/// Throws user errors. Nothing is written.
[[nodiscard]] SweepPlan plan_sweep(const SweepRequest& request);

/// Throws a user error that lists the cells whose directories have runs of another config.
void refuse_changed_cells(const SweepPlan& plan, const std::filesystem::path& sweep);

}  // namespace granule
