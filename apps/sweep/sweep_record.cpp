#include "apps/sweep/sweep_record.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "apps/program/version.hpp"
#include "apps/records/pace.hpp"
#include "apps/runs/provenance.hpp"
#include "core/error.hpp"
#include "data/files/atomic_file.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json solve_of(const SweepPlan& plan) {
  if (plan.table.solve == Budget::none) return {};
  return {{"budget", name_of(plan.table.solve)}, {"value", plan.cells.target}, {"key", plan.table.solve_key}};
}

double flops_of(const Cell& cell) {
  return amount_of(Budget::flops, cell.config, cell.steps);
}

Json to_json(const Cell& cell, const CellStatus& status, double seconds) {
  Json json{{"name", cell.name}, {"run", "cells/" + cell.name}, {"variant", cell.variant}};
  if (!cell.label.empty()) json["label"] = cell.label;
  json["values"] = Json::object();
  for (const auto& [key, value] : cell.values) json["values"][key] = value;
  json["seed"] = cell.seed ? Json(*cell.seed) : Json();
  if (cell.solution) {
    json["solved"] = cell.solution->width;
    json["budget"] = cell.solution->amount;
    json["residual"] = cell.solution->residual;
  }
  const ParameterCounts counts = count_parameters(cell.config.model, cell.config.moe);
  json["parameters"] = {{"total", counts.total()}, {"activated", counts.activated()}};
  json["steps"] = cell.steps;
  json["flops"] = flops_of(cell);
  json["predicted_seconds"] = seconds;
  json["state"] = name_of(status.state);
  json["exit_code"] = status.exit_code;
  json["error"] = status.error.empty() ? Json() : Json(status.error);
  if (!status.changed.empty()) json["changed"] = status.changed;
  return json;
}

/// In a directory that has cells already, one that was not among them is new.
std::string state_text(const CellStatus& status, bool has_cells) {
  if (!status.changed.empty()) return "changed";
  if (status.state == CellState::waiting && status.is_new && has_cells) return "new";
  return std::string(name_of(status.state));
}

}  // namespace

Json to_json(const SweepPlan& plan, const std::vector<CellStatus>& now) {
  Json json{{"format", "granule-sweep/1"}, {"version", program_version()}, {"commit", program_commit()}};
  json["overrides"] = Json::array();
  for (const std::string& text : plan.overrides) json["overrides"].push_back(as_utf8(text));
  json["keys"] = Json::array();
  for (const SweepAxis& axis : plan.table.axes) json["keys"].push_back(axis.key);
  json["seeds"] = plan.table.seeds;
  json["solve"] = solve_of(plan);
  json["cells"] = Json::array();
  for (std::size_t i = 0; i < plan.cells.all.size(); ++i)
    json["cells"].push_back(to_json(plan.cells.all[i], now[i], plan.seconds[i]));
  json["obsolete"] = plan.obsolete;
  return json;
}

std::string to_text(const SweepPlan& plan) {
  std::size_t width = 4;
  for (const Cell& cell : plan.cells.all) width = std::max(width, cell.name.size());
  const bool solves = plan.table.solve != Budget::none;
  std::string text =
      fmt::format("{:<{}}  {:>11}  {:>11}  {:>9}", "cell", width, "total", "activated", "FLOPs");
  if (solves) text += fmt::format("  {:>9}  {:>8}", "width", "residual");
  text += fmt::format("  {:>9}  state\n", "time");
  const bool has_cells = !std::ranges::all_of(plan.found, &CellStatus::is_new);
  for (std::size_t i = 0; i < plan.cells.all.size(); ++i) {
    const Cell& cell = plan.cells.all[i];
    const ParameterCounts counts = count_parameters(cell.config.model, cell.config.moe);
    text += fmt::format("{:<{}}  {:>9.3f} M  {:>9.3f} M  {:>9.3g}", cell.name, width,
                        static_cast<double>(counts.total()) / 1e6,
                        static_cast<double>(counts.activated()) / 1e6, flops_of(cell));
    if (solves)
      text += fmt::format("  {:>9}  {:>+7.3f}%", cell.solution->width, 100.0 * cell.solution->residual);
    text +=
        fmt::format("  {:>9}  {}\n", duration_text(plan.seconds[i]), state_text(plan.found[i], has_cells));
  }
  if (solves)
    text += fmt::format("{} chooses {} so that each cell has the config's {}: {:.6g}\n", "solve",
                        plan.table.solve_key, name_of(plan.table.solve), plan.cells.target);
  return text;
}

fs::path record_of(const fs::path& sweep) {
  return sweep / "sweep.json";
}

void write_record(const fs::path& sweep, const SweepPlan& plan, const std::vector<CellStatus>& now) {
  static_cast<void>(write_file(record_of(sweep), to_json(plan, now).dump(1) + "\n"));
}

std::vector<std::string> obsolete_cells(const fs::path& sweep, const Cells& cells) {
  std::vector<std::string> names;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(sweep / "cells", failure)) {
    const std::string name = entry.path().filename().string();
    if (std::ranges::none_of(cells.all, [&](const Cell& cell) { return cell.name == name; }))
      names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace granule
