#include "apps/sweep/cell_state.hpp"

#include <array>
#include <fstream>

#include <nlohmann/json.hpp>

#include "apps/records/metrics_file.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Whether the run's last job ended by itself after its last step. A job that was killed in the evaluation
/// after that step did not.
bool has_ended(const fs::path& run, std::int64_t steps) {
  const json record = provenance_of(run, json::object());
  if (record.is_null() || record.value("sessions", json::array()).empty()) return false;
  const json& last = record["sessions"].back();
  const json to = last.value("to_step", json());
  return to.is_number_integer() && to.get<std::int64_t>() >= steps &&
         last.value("stopped_by", json()).is_null();
}

/// Checkpoints may be removed from a complete run, because its records are what is compared.
bool has_last_row(const fs::path& run, std::int64_t steps) {
  const auto row = RowsFromEnd(run / "metrics.jsonl").next();
  return row && row->value("step", std::int64_t{0}) >= steps;
}

/// Why the saved run is another one. Empty if it is the cell's.
std::string difference(const fs::path& config_file, const Cell& cell) {
  try {
    check_resumable(load_run_config(config_file, {}), cell.config, config_file.parent_path().string());
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::string_view name_of(CellState state) {
  static constexpr std::array<std::string_view, 5> kNames{"waiting", "running", "complete", "stopped",
                                                          "failed"};
  return kNames[static_cast<std::size_t>(state)];
}

fs::path run_of(const fs::path& sweep, const Cell& cell) {
  return sweep / "cells" / cell.name;
}

CellStatus status_on_disk(const fs::path& sweep, const Cell& cell) {
  const fs::path run = run_of(sweep, cell);
  std::error_code failure;
  if (!fs::exists(run / "config.toml", failure)) return {};
  CellStatus status{.changed = difference(run / "config.toml", cell)};
  if (!status.changed.empty()) return status;
  if (has_ended(run, cell.steps) && has_last_row(run, cell.steps)) {
    status.state = CellState::complete;
  } else if (newest_whole(run)) {
    status.state = CellState::stopped;
  }
  return status;
}

CellStatus status_after_success(const fs::path& sweep, const Cell& cell) {
  CellStatus status = status_on_disk(sweep, cell);
  const auto saved = newest_whole(run_of(sweep, cell));
  if (status.changed.empty() && saved && saved->step >= cell.steps) status.state = CellState::complete;
  return status;
}

std::string last_error_in(const fs::path& log) {
  constexpr std::string_view kMark = "granule: error: ";
  std::ifstream file(log, std::ios::binary);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    const auto at = line.find(kMark);
    if (at != std::string::npos) last = line.substr(at + kMark.size());
  }
  return as_utf8(last);
}

}  // namespace granule
