// sweep.json: what a sweep consists of, and how far its cells are. `granule report` reads it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/sweep/cell_state.hpp"
#include "apps/sweep/cells/cells.hpp"

namespace granule {

/// A sweep with everything that is known before it runs.
struct SweepPlan {
  SweepTable table;
  Cells cells;
  std::vector<CellStatus> found;         ///< what was in the directory before, by cell
  std::vector<std::string> obsolete{};   ///< cells of the directory that the sweep no longer has
  std::vector<double> seconds{};         ///< predicted, of what is left of each cell
  std::vector<std::string> overrides{};  ///< of the command line
};

/// {"format": "granule-sweep/1", "overrides", "keys", "seeds", "solve", "cells": […], "obsolete"}
[[nodiscard]] nlohmann::ordered_json to_json(const SweepPlan& plan, const std::vector<CellStatus>& now);
/// A table for people: a line for each cell.
[[nodiscard]] std::string to_text(const SweepPlan& plan);

[[nodiscard]] std::filesystem::path record_of(const std::filesystem::path& sweep);
void write_record(const std::filesystem::path& sweep, const SweepPlan& plan,
                  const std::vector<CellStatus>& now);
/// Cells that have a directory, and that the sweep does not have.
[[nodiscard]] std::vector<std::string> obsolete_cells(const std::filesystem::path& sweep, const Cells& cells);

}  // namespace granule
