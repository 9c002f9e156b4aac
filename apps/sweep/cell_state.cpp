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

/// Whether the last row is that of the last step, with its evaluation if the run evaluates. Checkpoints may
/// be removed from a complete run, because its records are what is compared.
bool has_last_row(const fs::path& run, const Cell& cell) {
  const auto row = RowsFromEnd(run / "metrics.jsonl").next();
  if (!row || row->value("step", std::int64_t{0}) != cell.steps) return false;
  return cell.config.eval.every.amount == 0.0 || row->contains("val_ce");
}

bool has_begun(const fs::path& run) {
  return newest_whole(run) || RowsFromEnd(run / "metrics.jsonl").next();
}

/// Keys that may differ when a run is resumed, and that change what is compared: a schedule follows the
/// length, and a validation its batches.
std::string difference_in_results(const RunConfig& saved, const RunConfig& now) {
  const auto differs = [](const auto& was, const auto& is, const char* key) {
    return was == is ? std::string() : fmt::format("{} is not what the run began with", key);
  };
  for (const std::string& text : {differs(saved.train.steps, now.train.steps, "train.steps"),
                                  differs(saved.eval.every, now.eval.every, "eval.every"),
                                  differs(saved.eval.batches, now.eval.batches, "eval.batches")}) {
    if (!text.empty()) return text;
  }
  return {};
}

/// Why the saved run is another one. Empty if it is the cell's.
std::string difference(const fs::path& config_file, const Cell& cell) {
  try {
    const RunConfig saved = load_run_config(config_file, {});
    check_resumable(saved, cell.config, config_file.parent_path().string());
    return difference_in_results(saved, cell.config);
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
  if (!fs::exists(run / "config.toml", failure) || !has_begun(run)) return {};
  CellStatus status{.changed = difference(run / "config.toml", cell)};
  if (!status.changed.empty()) return status;
  const bool complete = has_ended(run, cell.steps) && has_last_row(run, cell);
  status.state = complete ? CellState::complete : CellState::stopped;
  return status;
}

CellStatus status_after_success(const fs::path& sweep, const Cell& cell) {
  CellStatus status = status_on_disk(sweep, cell);
  if (status.changed.empty() && has_last_row(run_of(sweep, cell), cell)) status.state = CellState::complete;
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
