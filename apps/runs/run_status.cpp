#include "apps/runs/run_status.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include "apps/records/metrics_file.hpp"
#include "apps/records/pace.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "data/files/run_lock.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void require_run(const fs::path& run) {
  std::error_code failure;
  for (const char* const name : {"config.toml", "metrics.jsonl", "checkpoints"}) {
    if (fs::exists(run / name, failure)) return;
  }
  user_error("this is no run directory", run.string(), advice_for_no_run(run));
}

fs::path metrics_of(const fs::path& run) {
  return run / "metrics.jsonl";
}

Json value_or_null(const std::optional<nlohmann::json>& row, const char* key) {
  if (!row || !row->contains(key)) return {};
  return Json((*row)[key]);
}

/// A count that the newest session recorded. Absent if there is none.
std::optional<std::int64_t> noted(const nlohmann::json& record, const char* key) {
  if (record.is_null() || record["sessions"].empty() || !record["sessions"].back().is_object())
    return std::nullopt;
  const auto count = record["sessions"].back().value(key, nlohmann::json());
  return count.is_number_integer() ? std::optional(count.get<std::int64_t>()) : std::nullopt;
}

std::int64_t newest_step(const std::optional<StepDirectory>& checkpoint,
                         const std::optional<nlohmann::json>& row, const nlohmann::json& record) {
  std::int64_t step = noted(record, "from_step").value_or(0);  // a fork does not begin at step 0
  if (checkpoint) step = std::max(step, checkpoint->step);
  return row ? std::max(step, row->value("step", step)) : step;
}

Json time_of_change(const fs::path& file) {
  std::error_code failure;
  const auto written = fs::last_write_time(file, failure);
  if (failure) return {};
  const auto since =
      std::chrono::duration_cast<std::chrono::seconds>(fs::file_time_type::clock::now() - written);
  const std::time_t at = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() - since);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(at));
}

std::string number_text(const Json& value, const char* form, const char* before) {
  return value.is_number() ? before + fmt::format(fmt::runtime(form), value.get<double>()) : std::string();
}

}  // namespace

std::optional<std::int64_t> steps_of_run(const fs::path& run, const nlohmann::json& record) {
  if (const auto steps = noted(record, "steps")) return steps;
  try {
    return resolve_steps(load_run_config(config_file_of(run), {}), 0).total;
  } catch (const Error&) {  // there are epochs, or no config any more
    return std::nullopt;
  }
}

Json run_status(const fs::path& run) {
  require_run(run);
  const auto row = RowsFromEnd(metrics_of(run)).next();
  const auto evaluated = RowsFromEnd(metrics_of(run)).next_with("val_ce");
  const nlohmann::json record = provenance_of(run, nlohmann::json::object());
  const std::optional<StepDirectory> checkpoint = newest_whole(run);
  const std::int64_t step = newest_step(checkpoint, row, record);
  const std::optional<std::int64_t> steps = steps_of_run(run, record);
  const LockState lock = lock_state(run);
  Json status{{"run", as_utf8(run.string())},
              {"step", step},
              {"steps", steps ? Json(*steps) : Json()},
              {"complete", steps ? Json(step >= *steps) : Json()},
              {"running", lock.held ? Json(*lock.held) : Json()},
              {"job", lock.held.value_or(false) ? Json(as_utf8(lock.owner)) : Json()}};
  for (const char* const key : {"ce", "aux", "lr", "grad_norm"}) status[key] = value_or_null(row, key);
  status["val_ce"] = value_or_null(evaluated, "val_ce");
  status["val_step"] = value_or_null(evaluated, "step");
  for (const char* const key : {"tokens_per_second", "step_seconds"}) status[key] = value_or_null(row, key);
  const Json& seconds = status["step_seconds"];
  status["seconds_left"] =
      steps && seconds.is_number()
          ? Json(seconds.get<double>() * static_cast<double>(std::max<std::int64_t>(*steps - step, 0)))
          : Json();
  status["checkpoint"] = checkpoint ? Json(as_utf8(checkpoint->path.string())) : Json();
  status["updated"] = time_of_change(metrics_of(run));
  return status;
}

std::string status_text(const Json& status) {
  std::string text = fmt::format("step {}", status["step"].get<std::int64_t>());
  if (status["steps"].is_number()) text += fmt::format(" of {}", status["steps"].get<std::int64_t>());
  text += number_text(status["step_seconds"], "{:.3g} s a step", ", ");
  text += number_text(status["tokens_per_second"], "{:.0f} tok/s", ", ");
  if (status["complete"] == true) {
    text += ", complete";
  } else if (status["seconds_left"].is_number()) {
    text += ", " + duration_text(status["seconds_left"].get<double>()) + " left";
  }
  text += number_text(status["ce"], "{:.4f}", "; ce ") + number_text(status["val_ce"], "{:.4f}", ", val ce ");
  if (status["running"] == true) return text + "; held by " + status["job"].get<std::string>();
  return text + (status["running"] == false ? "; no job holds it" : "; whether a job holds it is not known");
}

Json end_of_run(const RunEnd& end) {
  const fs::path metrics = metrics_of(end.run);
  const auto row = RowsFromEnd(metrics).next();
  const auto evaluated = RowsFromEnd(metrics).next_with("val_ce");
  const bool complete = end.steps > 0 && end.step >= end.steps;
  Json ce = value_or_null(row, "ce_step");
  if (ce.is_null()) ce = value_or_null(row, "ce");
  if (end.ce) ce = std::isfinite(*end.ce) ? Json(*end.ce) : Json();
  return {{"run", as_utf8(end.run.string())},
          {"step", end.step},
          {"steps", end.steps > 0 ? Json(end.steps) : Json()},
          {"complete", complete},
          {"stopped_by", end.stopped_by.empty() ? Json() : Json(end.stopped_by)},
          {"ce", ce},
          {"val_ce", value_or_null(evaluated, "val_ce")},
          {"checkpoint", end.checkpoint.empty() ? Json() : Json(as_utf8(end.checkpoint.string()))},
          {"seconds", end.seconds}};
}

}  // namespace granule
