#include "apps/report/runs/run_finder.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "apps/runs/provenance.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "data/files/json_field.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kDeepest = 3;
constexpr const char* kTable = "sweep.json";
constexpr const char* kAdvice = "name a run, a sweep, or a directory of runs";

bool has(const fs::path& directory, const char* name) {
  std::error_code failure;
  return fs::is_regular_file(directory / name, failure);
}

/// A run has its config before its first row. Other programs have files of that name too, but no log beside
/// it.
bool is_run(const fs::path& directory) {
  return has(directory, "metrics.jsonl") || has(directory, "run.json") ||
         (has(directory, "config.toml") && has(directory, "log.txt"));
}

bool is_sweep(const fs::path& directory) {
  return has(directory, kTable);
}

/// The path without "." and "..", links and a slash at its end. It need not exist.
fs::path place_of(const fs::path& path) {
  std::error_code failure;
  fs::path place = fs::weakly_canonical(path, failure);
  if (failure) place = fs::absolute(path).lexically_normal();
  return place.has_filename() ? place : place.parent_path();
}

std::string name_of(const fs::path& path) {
  return as_utf8(place_of(path).filename().string());
}

/// The name of a run in a directory, which may have none itself.
std::string below(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : fmt::format("{}/{}", directory, name);
}

std::string text_or_empty(const nlohmann::json& cell, const char* key) {
  const auto found = cell.find(key);
  return found != cell.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::int64_t> count_in(const JsonField& object, const char* key) {
  return object.has(key) ? std::optional(object.at(key).count()) : std::nullopt;
}

class Finder {
 public:
  void search(const fs::path& argument) {
    std::error_code failure;
    if (!fs::exists(argument, failure))
      user_error("there is no such run or directory", argument.string(), kAdvice);
    if (!fs::is_directory(argument, failure)) user_error("this is a file", argument.string(), kAdvice);
    const std::size_t before = seen_;
    visit(argument, is_run(argument) && !is_sweep(argument) ? name_of(argument) : "", 0);
    if (seen_ == before)
      user_error("there is no run in this directory", argument.string(), advice_for_no_run(argument));
  }

  FoundRuns take(std::span<const fs::path> arguments) {
    name_apart();
    found_.title =
        arguments.size() == 1 ? name_of(arguments.front()) : fmt::format("{} runs", found_.runs.size());
    return std::move(found_);
  }

 private:
  void visit(const fs::path& directory, const std::string& name, int depth) {
    if (is_sweep(directory)) return add_sweep(directory, name);
    if (is_run(directory)) return add({directory, name.empty() ? name_of(directory) : name});
    if (depth == kDeepest) return;
    std::vector<fs::path> inside;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(directory, failure)) {
      std::error_code unknown;
      const bool hidden = entry.path().filename().string().starts_with(".");
      if (!hidden && entry.is_directory(unknown)) inside.push_back(entry.path());
    }
    if (failure)
      user_error("cannot read the directory: " + failure.message(), directory.string(), "check permissions");
    std::ranges::sort(inside);
    for (const fs::path& path : inside) {
      const std::string own = as_utf8(path.filename().string());
      visit(path, below(name, own), depth + 1);
    }
  }

  void add_sweep(const fs::path& directory, const std::string& name) {
    const fs::path file = directory / kTable;
    const nlohmann::json table = load_json_object(file);
    const JsonField root(table, file.string(), "it is no table of granule sweep");
    if (root.at("format").text() != "granule-sweep/1") root.at("format").refuse("is not granule-sweep/1");
    for (std::size_t i = 0; i < root.at("keys").list_size(); ++i) add_key(root.at("keys").element(i).text());
    const JsonField cells = root.at("cells");
    for (std::size_t i = 0; i < cells.list_size(); ++i) add_cell(directory, name, cells.element(i));
  }

  void add_cell(const fs::path& directory, const std::string& name, const JsonField& field) {
    const std::string own = field.at("name").text();
    const nlohmann::json& cell = field.json();
    SweepCell known{.sweep = name_of(directory),
                    .directory = place_of(directory).string(),
                    .variant = field.at("variant").text(),
                    .label = text_or_empty(cell, "label"),
                    .state = field.at("state").text(),
                    .error = text_or_empty(cell, "error")};
    if (field.has("values")) known.values = Json(field.at("values").json());
    known.seed = count_in(field, "seed");
    known.steps = count_in(field, "steps");
    if (field.has("parameters")) {
      known.total_parameters = count_in(field.at("parameters"), "total");
      known.activated_parameters = count_in(field.at("parameters"), "activated");
    }
    FoundRun run{directory / field.at("run").text(), below(name, own)};
    const std::string changed = text_or_empty(cell, "changed");
    if (changed.empty()) {
      run.cell = std::move(known);
    } else {
      run.note = fmt::format("the sweep has another config for this cell now: {}", changed);
    }
    add(std::move(run));
  }

  void add_key(const std::string& key) {
    if (std::ranges::find(found_.sweep_keys, key) == found_.sweep_keys.end())
      found_.sweep_keys.push_back(key);
  }

  /// What a sweep says about a run is more than the run says itself.
  void add(FoundRun run) {
    ++seen_;
    const auto [known, is_new] = places_.try_emplace(place_of(run.path), found_.runs.size());
    if (is_new) {
      found_.runs.push_back(std::move(run));
    } else if (run.cell && !found_.runs[known->second].cell) {
      found_.runs[known->second] = std::move(run);
    }
  }

  /// Runs of the same name get their paths as names, which differ.
  void name_apart() {
    std::map<std::string, int> count;
    for (const FoundRun& run : found_.runs) ++count[run.name];
    for (FoundRun& run : found_.runs) {
      if (count[run.name] > 1) run.name = as_utf8(place_of(run.path).string());
    }
  }

  FoundRuns found_;
  std::map<fs::path, std::size_t> places_;
  std::size_t seen_ = 0;  ///< runs that were met, also again
};

}  // namespace

FoundRuns find_runs(std::span<const fs::path> arguments) {
  Finder finder;
  for (const fs::path& argument : arguments) finder.search(argument);
  return finder.take(arguments);
}

}  // namespace granule
