#include "apps/report/runs/run_reading.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "apps/report/runs/thinning.hpp"
#include "apps/runs/provenance.hpp"
#include "core/error.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

// A browser reads a page of these sizes within a second or two.
constexpr std::size_t kRowsInAll = 100'000, kMostRows = 4'000, kLeastRows = 100;
constexpr std::int64_t kLoadsInAll = 1'500'000;

/// Adds what a part of the run cannot say to the notes, and goes on with the others.
template <class Part>
void try_part(RunReading& reading, Part part) {
  try {
    part();
  } catch (const Error& error) {
    reading.facts.notes.push_back(as_utf8(error.what()));
  }
}

std::vector<double> last_row(const Columns& columns) {
  std::vector<double> row;
  if (columns.front().empty()) return row;
  for (const auto& column : columns) row.push_back(column.back());
  return row;
}

void thin(Metrics& metrics, std::size_t most) {
  const std::vector<std::span<const double>> shown(metrics.series.begin() + kPlaces, metrics.series.end());
  const std::vector<std::size_t> kept = thinned_rows(shown, most);
  for (auto& column : metrics.series) column = rows_of(column, kept);
}

void note_damage(RunReading& reading) {
  const Metrics& metrics = reading.metrics;
  if (metrics.damaged > 0) {
    reading.facts.notes.push_back(fmt::format("metrics.jsonl has {} damaged line{}, left out",
                                              metrics.damaged, metrics.damaged == 1 ? "" : "s"));
  }
  if (metrics.torn && reading.facts.state != "running")
    reading.facts.notes.emplace_back("the last line of metrics.jsonl is cut short, and is left out");
}

std::vector<fs::path> by_expert_files(const fs::path& run) {
  std::vector<fs::path> files;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(run, failure)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("by-expert") && name.ends_with(".json")) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

/// If there are several, the one that was written last.
void read_by_expert(RunReading& reading) {
  std::error_code unknown;
  std::vector<fs::path> files = by_expert_files(reading.found.path);
  if (files.empty()) return;
  const auto newest = std::ranges::max_element(
      files, {}, [&](const fs::path& file) { return fs::last_write_time(file, unknown); });
  nlohmann::json document = load_json_object(*newest);
  if (document.value("format", nlohmann::json()) != "granule-by-expert/1")
    user_error("this is no file of granule eval --by-expert", newest->string(), "it is left out");
  reading.by_expert = std::move(document);
}

/// Changes whenever a job has written something that a report shows.
std::string sign_of(const FoundRun& run) {
  std::vector<fs::path> files = by_expert_files(run.path);
  for (const char* const name : {"metrics.jsonl", "router.bin", "run.json", "config.toml"})
    files.push_back(run.path / name);
  std::string sign =
      fmt::format("{} {}", is_held(run), run.cell ? run.cell->state + run.cell->error : run.note);
  for (const fs::path& file : files) {
    std::error_code absent;
    const auto size = fs::file_size(file, absent);
    const auto time = fs::last_write_time(file, absent);
    if (!absent) sign += fmt::format(" {}:{}:{}", file.string(), size, time.time_since_epoch().count());
  }
  return sign;
}

/// Calls `body` for each index, on as many threads as there are cores.
void for_each_on_cores(std::size_t count, const std::function<void(std::size_t)>& body) {
  constexpr std::size_t kMost = 16;  // more would wait for the disk
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex guard;
  const auto work = [&] {
    try {
      for (std::size_t i; (i = next++) < count;) body(i);
    } catch (...) {
      const std::lock_guard lock(guard);
      failure = std::current_exception();
      next = count;
    }
  };
  const std::size_t cores = std::max(std::thread::hardware_concurrency(), 1U);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min({cores, count, kMost}); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

ReadingBudget budget_for(std::size_t runs) {
  const std::size_t many = std::max<std::size_t>(runs, 1);
  return {.rows = std::clamp(kRowsInAll / many, kLeastRows, kMostRows),
          .load = {.numbers = kLoadsInAll / static_cast<std::int64_t>(many)}};
}

double RunReading::last_of(std::string_view name) const {
  const auto in = [&](const auto& names, const std::vector<double>& row) {
    const auto place = std::ranges::find(names, name);
    const bool known = place != names.end() && !row.empty();
    return known ? row[static_cast<std::size_t>(place - names.begin())]
                 : std::numeric_limits<double>::quiet_NaN();
  };
  const bool in_series = std::ranges::find(kSeries, name) != kSeries.end();
  return in_series ? in(kSeries, last) : in(kValidation, last_validation);
}

RunReading read_run(const FoundRun& run, const ReadingBudget& budget) {
  RunReading reading{.found = run, .facts = facts_of(run)};
  const double flops_per_token = reading.facts.flops_per_token;
  try_part(reading, [&] { reading.metrics = read_metrics(run.path / "metrics.jsonl", flops_per_token); });
  reading.last = last_row(reading.metrics.series);
  reading.last_validation = last_row(reading.metrics.validation);
  put_state(reading.facts, run, reading.has_rows() ? static_cast<std::int64_t>(reading.last.front()) : 0);
  // The value of an earlier evaluation is not that of a complete run.
  const bool evaluated = reading.has_evaluation() && reading.last_validation.front() >= reading.last.front();
  if (reading.facts.state == "complete" && reading.facts.evaluates && !evaluated)
    reading.facts.state = "stopped";
  note_damage(reading);
  thin(reading.metrics, budget.rows);
  try_part(reading, [&] { reading.load = read_expert_load(run.path / "router.bin", budget.load); });
  try_part(reading, [&] { read_by_expert(reading); });
  return reading;
}

bool RunReadings::update(const FoundRuns& found) {
  const ReadingBudget budget = budget_for(found.runs.size());
  std::vector<std::string> signs(found.runs.size());
  std::map<std::string, std::size_t> known;
  if (budget == budget_) {
    for (std::size_t i = 0; i < runs_.size(); ++i) known[runs_[i].found.path.string() + signs_[i]] = i;
  }
  std::vector<RunReading> runs(found.runs.size());
  std::atomic<bool> changed = found.runs.size() != runs_.size();
  for_each_on_cores(found.runs.size(), [&](std::size_t i) {
    signs[i] = sign_of(found.runs[i]);
    const auto before = known.find(found.runs[i].path.string() + signs[i]);
    if (before != known.end()) {
      runs[i] = std::move(runs_[before->second]);  // no two runs have one path
      return;
    }
    runs[i] = read_run(found.runs[i], budget);
    changed = true;
  });
  runs_ = std::move(runs);
  signs_ = std::move(signs);
  budget_ = budget;
  return changed;
}

}  // namespace granule
