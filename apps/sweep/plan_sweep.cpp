#include "apps/sweep/plan_sweep.hpp"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "apps/inputs/run_data.hpp"
#include "apps/jobs/dry_run.hpp"
#include "apps/planning/host_memory.hpp"
#include "apps/planning/step_time.hpp"
#include "apps/records/metrics_file.hpp"
#include "core/error.hpp"
#include "core/interruption.hpp"
#include "data/files/files.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

/// The facts of data, read once for each set of sources.
class DataReader {
 public:
  DataFacts operator()(const RunConfig& config) {
    if (config.data.path.empty() && config.data.mix.empty()) return {};
    const std::string key = to_json(config).at("data").dump() + (config.eval.every.amount > 0 ? "e" : "");
    const auto known = facts_.find(key);
    if (known != facts_.end()) return known->second;
    const RunData data = open_run_data(config, DigestCheck::skip);  // each run checks the digests
    RunConfig settled = config;
    settle_vocabulary(settled, data, std::string());
    return facts_[key] = {settled.model.vocab_size, data.train.samples(config.data.seq_len)};
  }

 private:
  std::map<std::string, DataFacts> facts_;
};

/// Predicts a run's time on all cores of this machine from a rehearsal of its step.
class Clock {
 public:
  explicit Clock(std::int64_t ranks) : ranks_(ranks) {}

  double seconds(const PlanRequest& request, std::int64_t steps) {
    if (!device_ || request.dtype != dtype_) device_ = device_figures("cpu", dtype_ = request.dtype, ranks_);
    const StepTime step = predict_step(request, rehearse(request, Routing::even), *device_, {});
    return step.total() * static_cast<double>(steps);
  }

 private:
  std::int64_t ranks_;
  DType dtype_ = DType::f32;
  std::optional<DeviceFigures> device_;
};

std::int64_t steps_left(const fs::path& run, const Cell& cell, const CellStatus& found) {
  if (found.complete()) return 0;
  if (found.state == CellState::waiting) return cell.steps;
  const auto row = RowsFromEnd(run / "metrics.jsonl").next();
  const std::int64_t done = row ? row->value("step", std::int64_t{0}) : 0;
  return std::max<std::int64_t>(cell.steps - done, 0);
}

/// What sweep.json says of a cell. Null if it does not have it.
nlohmann::json recorded_in(const nlohmann::json& record, const Cell& cell) {
  for (const auto& one : record.value("cells", nlohmann::json::array())) {
    if (one.is_object() && one.value("name", "") == cell.name) return one;
  }
  return {};
}

nlohmann::json record_in(const fs::path& sweep) {
  std::error_code failure;
  if (sweep.empty() || !fs::exists(record_of(sweep), failure)) return nlohmann::json::object();
  nlohmann::json record = nlohmann::json::parse(read_file(record_of(sweep)), nullptr, false);
  return record.is_object() ? record : nlohmann::json::object();
}

CellStatus found_status(const fs::path& sweep, const nlohmann::json& recorded, const Cell& cell) {
  if (sweep.empty()) return {};
  CellStatus status = status_on_disk(sweep, cell);
  status.is_new = recorded.is_null();
  const bool has_failed = !status.is_new && recorded.value("state", "") == name_of(CellState::failed);
  if (status.complete() || !has_failed) return status;
  status.state = CellState::failed;
  status.error = recorded.contains("error") && recorded["error"].is_string()
                     ? recorded["error"].get<std::string>()
                     : std::string();
  return status;
}

/// Without a cell in common, the directory is that of another question.
void refuse_other_sweep(const SweepPlan& plan, const nlohmann::json& record, const fs::path& sweep) {
  const bool has_cells = !record.value("cells", nlohmann::json::array()).empty();
  if (has_cells && std::ranges::all_of(plan.found, &CellStatus::is_new))
    user_error("the directory has another sweep, with no cell in common", sweep.string(),
               "name another --out");
}

/// A run checks its own memory. Runs at once must fit together.
void check_memory(const PlanRequest& cell, const SweepRequest& request) {
  if (request.ranks_here <= request.ranks) return;
  if (const auto room = memory_room()) require_memory(cell, request.ranks_here, *room);
}

}  // namespace

SweepPlan plan_sweep(const SweepRequest& request) {
  SweepPlan plan{.table = read_sweep(request.config, request.overrides), .overrides = request.overrides};
  DataReader facts;
  plan.cells = cells_of(plan.table, request.ranks, std::ref(facts));
  Clock clock(request.ranks);
  const nlohmann::json record = record_in(request.out);
  for (const Cell& cell : plan.cells.all) {
    plan.found.push_back(found_status(request.out, recorded_in(record, cell), cell));
    const PlanRequest cell_plan =
        plan_of(cell.config, request.ranks, thread_count(cell.config, request.ranks_here));
    const std::int64_t left = steps_left(run_of(request.out, cell), cell, plan.found.back());
    if (left > 0) check_memory(cell_plan, request);
    const bool predicts = request.predict == Predict::yes && left > 0;
    plan.seconds.push_back(predicts ? clock.seconds(cell_plan, left) : 0.0);
    interruption_point();
  }
  refuse_other_sweep(plan, record, request.out);
  if (!request.out.empty()) plan.obsolete = obsolete_cells(request.out, plan.cells);
  return plan;
}

void refuse_changed_cells(const SweepPlan& plan, const fs::path& sweep) {
  std::string names, reason;
  int count = 0;
  for (std::size_t i = 0; i < plan.found.size(); ++i) {
    if (plan.found[i].changed.empty()) continue;
    if (++count <= 3) names += fmt::format("{}{}", names.empty() ? "" : ", ", plan.cells.all[i].name);
    if (reason.empty()) reason = plan.found[i].changed;
  }
  if (count == 0) return;
  user_error(fmt::format("{} of the sweep's cells have runs of another config here: {}{}; {}", count, names,
                         count > 3 ? ", …" : "", reason),
             sweep.string(), "name another --out, or remove the directories of these cells");
}

}  // namespace granule
