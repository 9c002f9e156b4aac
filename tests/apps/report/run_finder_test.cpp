#include "apps/report/runs/run_finder.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "tests/apps/report/made_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_of(const FoundRuns& found) {
  std::vector<std::string> names;
  for (const FoundRun& run : found.runs) names.push_back(run.name);
  return names;
}

std::vector<std::string> found_in(const std::vector<fs::path>& arguments) {
  return names_of(find_runs(arguments));
}

std::string error_of_search(const fs::path& argument) {
  try {
    static_cast<void>(find_runs(std::vector{argument}));
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
  return "";
}

constexpr const char* kTable =
    R"({"format": "granule-sweep/1", "keys": ["moe.aux_loss_alpha"], "seeds": [0, 1],
  "cells": [{"name": "alpha-0,seed-0", "run": "cells/alpha-0,seed-0", "variant": "alpha-0", "label": "No loss",
             "values": {"moe.aux_loss_alpha": 0}, "seed": 0, "state": "complete"},
            {"name": "alpha-0,seed-1", "run": "cells/alpha-0,seed-1", "variant": "alpha-0",
             "values": {"moe.aux_loss_alpha": 0}, "seed": 1, "state": "waiting"}]})";

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("run_finder: a run, a directory of runs, and runs deeper in it are found") {
  const TempDir directory;
  for (const char* const run : {"a", "b", "deep/er/c", "deep/er/too/far/d"}) make_run(directory / run, {});
  fs::create_directories(directory / "a/checkpoints/step-00000004");
  CHECK(found_in({directory / "a"}) == Names{"a"});
  CHECK(found_in({directory / "a/"}) == Names{"a"});
  CHECK(found_in({directory.path()}) == Names{"a", "b", "deep/er/c"});
  CHECK(found_in({directory / "b", directory / "a"}) == Names{"b", "a"});
}

TEST_CASE("run_finder: a config is a run's if a log is beside it") {
  const TempDir directory;
  fs::create_directories(directory / "site");
  write_text(directory / "site/config.toml", "title = 'a site'\n");
  CHECK_THAT(error_of_search(directory.path()), Contains("there is no run in this directory"));
  write_text(directory / "site/log.txt", "1 rank of 2 threads: from the beginning\n");
  CHECK(found_in({directory.path()}) == Names{"site"});
}

TEST_CASE("run_finder: a run that is named twice is taken once") {
  const TempDir directory;
  make_run(directory / "a", {});
  fs::create_directory_symlink(directory / "a", directory / "link");
  CHECK(found_in({directory / "a", directory / "a/", directory / "link", directory.path()}) == Names{"a"});
}

TEST_CASE("run_finder: two runs of one name have their paths as names") {
  const TempDir directory;
  make_run(directory / "x/run", {});
  make_run(directory / "y/run", {});
  const auto names = found_in({directory / "x/run", directory / "y/run"});
  CHECK_THAT(names[0], Contains("/x/run"));
  CHECK_THAT(names[1], Contains("/y/run"));
}

TEST_CASE("run_finder: a sweep has its cells, also those without a directory") {
  const TempDir directory;
  make_run(directory / "sweep/cells/alpha-0,seed-0", {});
  write_text(directory / "sweep/sweep.json", kTable);
  const FoundRuns found = find_runs(std::vector<fs::path>{directory / "sweep"});
  CHECK(names_of(found) == Names{"alpha-0,seed-0", "alpha-0,seed-1"});
  CHECK(found.title == "sweep");
  CHECK(found.sweep_keys == Names{"moe.aux_loss_alpha"});
  REQUIRE(found.runs[0].cell.has_value());
  CHECK(found.runs[0].cell->label == "No loss");
  CHECK(found.runs[1].cell->seed == 1);
  CHECK(found.runs[1].cell->state == "waiting");
  // A cell that is named by itself too is still a cell of its sweep.
  const FoundRuns twice =
      find_runs(std::vector<fs::path>{directory / "sweep/cells/alpha-0,seed-0", directory.path()});
  REQUIRE(twice.runs.size() == 2);
  CHECK(twice.runs[0].cell.has_value());
}

TEST_CASE("run_finder: a path without a run is a user error that says what to do") {
  const TempDir directory;
  make_run(directory / "a", {});
  fs::create_directories(directory / "a/checkpoints");
  fs::create_directories(directory / "empty");
  CHECK_THAT(error_of_search(directory / "none"), Contains("there is no such run"));
  CHECK_THAT(error_of_search(directory / "a/metrics.jsonl"), Contains("this is a file"));
  CHECK_THAT(error_of_search(directory / "empty"), Contains("there is no run in this directory"));
  CHECK_THAT(error_of_search(directory / "a/checkpoints"), Contains("give the run itself"));
}

TEST_CASE("run_finder: a damaged table of a sweep is a user error that names it") {
  const TempDir directory;
  for (const char* const text : {"{", "{}", R"({"format": "granule-sweep/9", "keys": [], "cells": []})",
                                 R"({"format": "granule-sweep/1", "keys": [], "cells": [{"name": 3}]})"}) {
    write_text(directory / "sweep.json", text);
    CHECK_THAT(error_of_search(directory.path()), Contains("sweep.json"));
  }
}
