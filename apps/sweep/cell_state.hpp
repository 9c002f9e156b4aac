// How far the run of a cell is.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apps/sweep/cells/cells.hpp"

namespace granule {

enum class CellState : std::uint8_t { waiting, running, complete, stopped, failed };
[[nodiscard]] std::string_view name_of(CellState state);

struct CellStatus {
  CellState state = CellState::waiting;
  bool is_new = true;     ///< whether sweep.json did not have the cell before
  int exit_code = 0;      ///< of a failed or stopped cell
  std::string error{};    ///< of a failed cell
  std::string changed{};  ///< why the run in the cell's directory cannot become this cell's; empty if it can
  [[nodiscard]] bool complete() const { return state == CellState::complete; }
};

[[nodiscard]] std::filesystem::path run_of(const std::filesystem::path& sweep, const Cell& cell);

/// What the cell's run directory says. Without one, or before a step was recorded, the cell is waiting. One
/// whose last job was killed after its last save, before it recorded its end, is stopped.
[[nodiscard]] CellStatus status_on_disk(const std::filesystem::path& sweep, const Cell& cell);

/// The same after a job on the run has ended with exit code 0: if nothing was left to do, it is complete.
[[nodiscard]] CellStatus status_after_success(const std::filesystem::path& sweep, const Cell& cell);

/// The last "granule: error: …" that a file has, without these words. Empty if there is none.
[[nodiscard]] std::string last_error_in(const std::filesystem::path& log);

}  // namespace granule
