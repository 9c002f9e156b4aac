// What running a cell needs, in a process of its own or on a group of ranks.
#pragma once
#include <filesystem>
#include <string>

#include "apps/runs/train_arguments.hpp"
#include "apps/sweep/cell_state.hpp"

namespace granule {

/// What the last job of the cell wrote to stderr: SWEEP/logs/NAME.txt.
[[nodiscard]] std::filesystem::path log_of(const std::filesystem::path& sweep, const Cell& cell);

/// Makes the run directory with the cell's config.toml. Throws io_error.
void prepare_cell(const std::filesystem::path& sweep, const Cell& cell);

/// "ce 4.912, val ce 5.013" from the run's records; what is not known is left out.
[[nodiscard]] std::string losses_text(const std::filesystem::path& run);

/// The line about a cell that has ended.
[[nodiscard]] std::string end_text(const std::filesystem::path& sweep, const Cell& cell,
                                   const CellStatus& status);

}  // namespace granule
