// What a report says about runs that are made here: states, variants, and comparisons.
#include "apps/report/document.hpp"

#include <algorithm>
#include <fstream>

#include "data/files/files.hpp"
#include "data/files/run_lock.hpp"
#include "tests/apps/report/made_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

Json report_of(const std::vector<fs::path>& paths) {
  const FoundRuns found = find_runs(paths);
  RunReadings readings;
  readings.update(found);
  return report_document(report_data(found, readings.runs()), std::nullopt);
}

Json report_of(const TempDir& directory) {
  return report_of({directory.path()});
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("report document: runs that differ only in seeds, places and threads are one variant") {
  const TempDir directory;
  for (int seed = 0; seed < 3; ++seed) {
    const std::string seeds = fmt::format("train.seed={}", seed);
    make_run(directory / fmt::format("a{}", seed),
             {.overrides = {seeds, "moe.aux_loss_alpha=0", fmt::format("train.threads={}", seed + 1)},
              .ce = 3.0 + 0.1 * seed});
    make_run(directory / fmt::format("b{}", seed),
             {.overrides = {seeds, "moe.aux_loss_alpha=0.1"}, .ce = 3.1 + 0.1 * seed + 0.001 * seed * seed});
  }
  const Json report = report_of(directory);
  CHECK(report["keys"].get<Keys>() == Keys{"moe.aux_loss_alpha", "train.threads"});
  CHECK(report["metric"]["key"] == "val_ce");
  REQUIRE(report["variants"].size() == 2);
  CHECK(report["variants"][0]["name"] == "aux_loss_alpha-0");
  CHECK(report["variants"][0]["runs"] == Json({0, 1, 2}));
  CHECK(report["variants"][0]["n"] == 3);
  CHECK(report["variants"][0]["mean"].get<double>() == Approx(3.6));
  CHECK(report["variants"][1]["values"] == Json({{"moe.aux_loss_alpha", 0.1}}));
  CHECK(report["runs"][4]["variant"] == 1);
  CHECK(report["runs"][4]["seed"] == 1);
  const Json& difference = report["comparisons"][0][1];
  CHECK(report["comparisons"][0][0].is_null());
  CHECK(difference["n"] == 3);
  CHECK(difference["mean"].get<double>() == Approx(0.1 + 0.005 / 3));
  CHECK(report["comparisons"][1][0]["mean"].get<double>() == Approx(-0.1 - 0.005 / 3));
  CHECK_THAT(difference["sentence"].get<std::string>(), Contains("3 seeds"));
}

TEST_CASE(
    "report document: other data, another start and other micro-batches of a capacity are other variants") {
  const TempDir directory;
  make_run(directory / "a", {});
  make_run(directory / "b", {.data = "d2"});
  make_run(directory / "c", {.start = "xxh3:1"});
  make_run(directory / "d", {.overrides = {"train.micro_batch_size=2"}});
  const Json report = report_of(directory);
  CHECK(report["keys"].get<Keys>() == Keys{"train.micro_batch_size", "data.path", "start"});
  std::vector<int> variants;
  for (const Json& run : report["runs"]) variants.push_back(run["variant"]);
  CHECK(variants == std::vector<int>{0, 1, 2, 0});
  CHECK(report["runs"][2]["config"]["start"] == "fork runs/first");

  const TempDir with_capacity;
  make_run(with_capacity / "a", {.overrides = {"moe.capacity_factor=1.5"}});
  make_run(with_capacity / "b", {.overrides = {"moe.capacity_factor=1.5", "train.micro_batch_size=2"}});
  CHECK(report_of(with_capacity)["variants"].size() == 2);
}

TEST_CASE("report document: runs with equal seeds are one chance, and pairs are made by both seeds") {
  const TempDir directory;
  make_run(directory / "a", {.ce = 3.0});
  make_run(directory / "again", {.ce = 3.2});
  make_run(directory / "b", {.overrides = {"optim.lr=0.1", "data.seed=5"}, .ce = 3.0});
  const Json report = report_of(directory);
  CHECK(report["variants"][0]["n"] == 1);
  CHECK(report["variants"][0]["mean"].get<double>() == Approx(3.6));
  CHECK(report["runs"][2]["seed"] == 5);
  CHECK(report["comparisons"][0][1]["n"] == 0);
}

TEST_CASE("report document: a run says whether it is complete, stopped, failed or running") {
  const TempDir directory;
  make_run(directory / "complete", {});
  make_run(directory / "failed",
           {.done = 2, .ce = 9.0, .stopped_by = "the disk is full (metrics.jsonl): make room"});
  make_run(directory / "running", {.done = 3});
  make_run(directory / "stopped", {.done = 2, .stopped_by = "SIGTERM"});
  make_run(directory / "without-rows", {.done = 0});
  const RunLock lock(directory / "running");
  const Json report = report_of(directory);
  std::vector<std::string> states;
  for (const Json& run : report["runs"]) states.push_back(run["state"]);
  CHECK(states == std::vector<std::string>{"complete", "failed", "running", "stopped", "stopped"});
  CHECK(report["runs"][0]["error"].is_null());
  CHECK_THAT(report["runs"][1]["error"].get<std::string>(), Contains("the disk is full"));
  CHECK(report["runs"][2]["step"] == 3);
  CHECK(report["runs"][4]["step"] == 0);
  CHECK(report["runs"][4]["series"]["step"].empty());
  CHECK(report["runs"][4]["final"]["ce"].is_null());
  CHECK(report["variants"][0]["mean"] == 3.5);  // only the complete run counts
  CHECK_THAT(report["variants"][0]["sentence"].get<std::string>(), Contains("4 runs are not complete"));
}

namespace {

/// A cell of a sweep as its table has it. It makes the run directory too, unless the cell waits.
Json made_cell(const TempDir& sweep, const std::string& variant, int seed, const std::string& state,
               double ce = 9.0) {
  const std::string name = fmt::format("{},seed-{}", variant, seed);
  const double alpha = variant == "one" ? 0.1 : 0.2;
  if (state != "waiting") {
    make_run(sweep / ("cells/" + name),
             {.overrides = {fmt::format("moe.aux_loss_alpha={}", alpha), fmt::format("train.seed={}", seed),
                            fmt::format("data.seed={}", seed)},
              .done = state == "complete" ? 4 : 1,
              .ce = ce});
  }
  return {{"name", name},
          {"run", "cells/" + name},
          {"variant", variant},
          {"values", {{"moe.aux_loss_alpha", alpha}}},
          {"seed", seed},
          {"steps", 4},
          {"parameters", {{"total", 10416}, {"activated", 5808}}},
          {"state", state},
          {"error", state == "failed" ? Json("exit code 77") : Json()}};
}

void write_table(const TempDir& sweep, const std::vector<Json>& cells) {
  const Json table{{"format", "granule-sweep/1"}, {"keys", {"moe.aux_loss_alpha"}}, {"cells", cells}};
  write_text(sweep / "sweep.json", table.dump());
}

}  // namespace

TEST_CASE("report document: a run that stopped in its last evaluation is not complete with an older one") {
  const TempDir directory;
  make_run(directory / "a", {});
  std::string rows = granule::read_file(directory / "a/metrics.jsonl");
  const auto last = rows.rfind("\"val_ce\"");
  REQUIRE(last != std::string::npos);
  CHECK(report_of(directory)["runs"][0]["state"] == "complete");
  rows.replace(last, 8, "\"was_ce\"");
  std::ofstream(directory / "a/metrics.jsonl", std::ios::binary) << rows;
  CHECK(report_of(directory)["runs"][0]["state"] == "stopped");
}

TEST_CASE("report document: cells of a sweep that wait or have failed are in it, and pair by their seeds") {
  const TempDir sweep;
  write_table(sweep,
              {made_cell(sweep, "one", 0, "complete", 3.0), made_cell(sweep, "one", 1, "complete", 3.1),
               made_cell(sweep, "two", 0, "complete", 3.2), made_cell(sweep, "two", 1, "failed"),
               made_cell(sweep, "two", 2, "waiting")});
  const Json report = report_of(sweep);
  CHECK(report["keys"].get<Keys>() == Keys{"moe.aux_loss_alpha"});
  REQUIRE(report["runs"].size() == 5);
  CHECK(report["runs"][3]["state"] == "failed");
  CHECK(report["runs"][3]["error"] == "exit code 77");
  CHECK(report["runs"][4]["state"] == "waiting");
  CHECK(report["runs"][4]["config"]["moe.aux_loss_alpha"] == 0.2);
  CHECK(report["runs"][4]["parameters"] == report["runs"][3]["parameters"]);
  CHECK(report["runs"][4]["steps"] == 4);
  CHECK(report["variants"][1]["name"] == "two");
  CHECK(report["variants"][1]["n"] == 1);
  CHECK(report["comparisons"][0][1]["n"] == 1);
  CHECK(report["comparisons"][0][1]["mean"].get<double>() == Approx(0.2));
  CHECK(report["metric"]["key"] == "val_ce");
}

TEST_CASE("report document: a cell without a row waits, even if a killed sweep has made its directory") {
  const TempDir sweep;
  write_table(sweep, {made_cell(sweep, "one", 0, "running"), made_cell(sweep, "two", 0, "running")});
  write_text(sweep / "cells/one,seed-0/metrics.jsonl", "");
  const Json report = report_of(sweep);
  CHECK(report["runs"][0]["state"] == "waiting");
  CHECK(report["runs"][1]["state"] == "stopped");
}

TEST_CASE("report document: a run that the sweep would make with another config now is no cell of it") {
  const TempDir sweep;
  Json changed = made_cell(sweep, "one", 0, "complete", 3.0);
  changed["changed"] = "optim.lr = 0.1 now, and 0.0003 then";
  write_table(sweep, {changed, made_cell(sweep, "one", 1, "complete", 3.1)});
  const Json report = report_of(sweep);
  CHECK(report["variants"].size() == 2);
  CHECK_THAT(report["runs"][0]["notes"].dump(), Contains("another config") && Contains("optim.lr"));
}

TEST_CASE("report document: a run whose loss is not finite is not counted, and its variant says so") {
  const TempDir directory;
  make_run(directory / "a", {});
  make_run(directory / "b", {.overrides = {"train.seed=1"}, .done = 3});
  std::ofstream(directory / "b/metrics.jsonl", std::ios::app)
      << R"({"step":4,"tokens":256,"ce":null,"val_ce":null,"val_perplexity":null})" << '\n';
  const Json report = report_of(directory);
  CHECK(report["runs"][1]["state"] == "complete");
  CHECK(report["runs"][1]["final"]["val_ce"].is_null());
  CHECK(report["variants"][0]["n"] == 1);
  CHECK_THAT(report["variants"][0]["sentence"].get<std::string>(),
             Contains("1 run is without a finite value"));
}

TEST_CASE("report document: if a run has no evaluation, variants are compared by the training loss") {
  const TempDir directory;
  make_run(directory / "a", {});
  make_run(directory / "b", {.overrides = {"eval.every=0"}, .evaluated = false});
  const Json report = report_of(directory);
  CHECK(report["metric"]["key"] == "ce");
  CHECK(report["variants"][0]["mean"] == 3);
}

TEST_CASE("report document: what is damaged is named, and the rest of the run is shown") {
  const TempDir directory;
  make_run(directory / "run", {});
  write_text(directory / "run/router.bin", std::string(5'000, 'x'));
  write_text(directory / "run/by-expert.json", "{}");
  write_text(directory / "run/metrics.jsonl", made_row({}, 1) + "noise\n" + made_row({}, 4) + "{\"step\":5,");
  const Json run = report_of(directory)["runs"][0];
  CHECK(run["state"] == "complete");
  CHECK(run["series"]["step"] == Json({1, 4}));
  CHECK(run["load"].is_null());
  const std::string notes = run["notes"].dump();
  CHECK_THAT(notes, Contains("1 damaged line, left out") && Contains("is cut short") &&
                        Contains("router.bin") && Contains("by-expert.json"));
  fs::remove(directory / "run/config.toml");
  write_text(directory / "run/run.json", R"({"format":"granule-run/1","start":7,"sessions":[5]})");
  const Json bare = report_of(directory)["runs"][0];
  CHECK(bare["flops"].is_null());
  CHECK(bare["final"]["ce"] == 3);
}

TEST_CASE("report document: the newest answer of granule eval --by-expert is in it") {
  const TempDir directory;
  make_run(directory / "run", {});
  write_text(directory / "run/by-expert-old.json", R"({"format": "granule-by-expert/1", "tokens": 1})");
  write_text(directory / "run/by-expert.json", R"({"format": "granule-by-expert/1", "tokens": 2})");
  fs::last_write_time(directory / "run/by-expert-old.json",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  CHECK(report_of(directory)["runs"][0]["by_expert"]["tokens"] == 2);
}

TEST_CASE("report readings: a run is read again only if it has changed") {
  const TempDir directory;
  make_run(directory / "a", {});
  make_run(directory / "b", {.done = 2});
  const std::vector<fs::path> paths{directory.path()};
  RunReadings readings;
  CHECK(readings.update(find_runs(paths)));
  CHECK_FALSE(readings.update(find_runs(paths)));
  REQUIRE(readings.runs().size() == 2);
  CHECK(readings.runs()[0].has_rows());
  make_run(directory / "b", {.done = 3});
  CHECK(readings.update(find_runs(paths)));
  CHECK(readings.runs()[1].metrics.rows() == 3);
  CHECK(readings.runs()[0].metrics.rows() == 4);
  make_run(directory / "c", {});
  CHECK(readings.update(find_runs(paths)));
  CHECK(readings.runs().size() == 3);
}
