// granule report from outside, on runs that the program trained.
#include <csignal>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/apps/report/made_run.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json rows_of(const fs::path& run) {
  json rows = json::array();
  std::istringstream lines(text_of(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) rows.push_back(json::parse(line));
  return rows;
}

/// The document in a page.
json document_in(const fs::path& page) {
  const std::string text = text_of(page);
  const std::string begin = R"(id="report-data">)";
  const std::size_t at = text.find(begin) + begin.size();
  return json::parse(text.substr(at, text.find("</script>", at) - at));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("report_command: the numbers of the document are those of metrics.jsonl and router.bin") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const auto result = run_program({"report", shop.path("run"), "--format", "json"});
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  const json rows = rows_of(shop.path("run"));
  const json& run = report["runs"][0];
  CHECK(report["format"] == "granule-report/1");
  CHECK(run["state"] == "complete");
  REQUIRE(run["series"]["step"].size() == rows.size());
  for (const char* const key :
       {"step", "tokens", "ce", "aux", "lr", "grad_norm", "load_max_over_mean", "load_cv", "dead_experts",
        "router_entropy", "balance_over_ce", "tokens_per_second", "mfu", "peak_bytes", "dropped"}) {
    INFO(key);
    for (std::size_t i = 0; i < rows.size(); ++i)  // the document has seven digits
      CHECK(run["series"][key][i].get<double>() == Approx(rows[i][key].get<double>()).epsilon(1e-6));
    if (run["final"].contains(key)) CHECK(run["final"][key] == rows.back()[key]);
  }
  for (const char* const key : {"val_ce", "val_perplexity"}) CHECK(run["final"][key] == rows.back()[key]);
  CHECK(run["validation"]["step"] == json({10, 20, 30, 40}));
  const json plan = json::parse(run_program({"train", shop.path("run.toml"), "--dry-run"}).out);
  CHECK(run["parameters"]["total"] == plan["parameters"]["total"]);
  CHECK(run["parameters"]["activated"] == plan["parameters"]["activated"]);
  CHECK(run["flops"].get<double>() == Approx(plan["flops"].get<double>()));
  REQUIRE(run["load"]["steps"].size() == 40);
  for (std::size_t i = 0; i < rows.size(); ++i) {  // the document has three digits of a share
    const auto shares = run["load"]["share"][0][i].get<std::vector<double>>();
    CHECK(*std::ranges::max_element(shares) ==
          Approx(rows[i]["load_max_over_mean"].get<double>()).epsilon(0.006));
  }
}

TEST_CASE("report_command: the page holds the document, and no text of it can end the script") {
  const TempDir directory;
  make_run(directory / "</script><!--<script>", {});
  const std::string out = (directory / "report.html").string();
  const auto result = run_program({"report", directory.path().string(), "--out", out});
  REQUIRE(result.exit_code == 0);
  CHECK(json::parse(result.out)["runs"] == 1);
  const std::string page = text_of(out);
  CHECK_THAT(page, !Contains("<!--<script>") && !Contains("/*DATA*/") && Contains("uPlot"));
  CHECK(document_in(out)["runs"][0]["name"] == "</script><!--<script>");
  // The same page is written again.
  CHECK(run_program({"report", directory.path().string(), "--out", out}).exit_code == 0);
}

TEST_CASE("report_command: csv has a table of runs, and beside it every row of every run") {
  const TempDir directory;
  make_run(directory / "runs/a, \"b\"", {.ce = 1.0 / 3});
  make_run(directory / "runs/c", {.overrides = {"optim.lr=0.5"}});
  const std::string runs = (directory / "runs").string(), out = (directory / "t.csv").string();
  const auto shown = run_program({"report", runs, "--format", "csv"});
  const auto written = run_program({"report", runs, "--format", "csv", "--out", out});
  REQUIRE(written.exit_code == 0);
  CHECK(shown.out == text_of(out));
  const auto table = lines_of(shown.out);
  REQUIRE(table.size() == 3);
  CHECK_THAT(table[0],
             Catch::StartsWith("run,path,variant,label,seed,state,") && Contains(",optim.lr,ce,val_ce,"));
  CHECK_THAT(table[1], Catch::StartsWith("\"a, \"\"b\"\"\",") && Contains(",0.3333333333333333,"));
  const auto series = lines_of(text_of(directory / "t-series.csv"));
  CHECK(series.size() == 1 + 2 * 4);
  CHECK_THAT(series[8],
             Catch::StartsWith("c,optim.lr-0.5,0,4,256,") || Catch::StartsWith("c,lr-0.5,0,4,256,"));
  CHECK_THAT(series[8], Contains(",3.5,,"));
  CHECK(lines_of(text_of(directory / "t-variants.csv")).size() == 3);
  CHECK(lines_of(text_of(directory / "t-comparisons.csv")).size() == 3);
  CHECK(fs::exists(directory / "t-load.csv"));
  CHECK(json::parse(written.out)["files"].size() == 5);
}

TEST_CASE("report_command: a report is replaced, and nothing else is") {
  const TempDir directory;
  make_run(directory / "run", {});
  const std::string run = (directory / "run").string();
  const auto refused = [&](const std::string& out, const std::string& why, const char* format = "html") {
    const auto result = run_program({"report", run, "--out", out, "--format", format});
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains(why));
  };
  const std::string letter = (directory / "letter.html").string();
  write_text(letter, "<html>Dear reader</html>");
  refused(letter, "this file is no report");
  CHECK(text_of(letter) == "<html>Dear reader</html>");
  refused(run, "--out names a directory");
  refused((directory / "none/report.html").string(), "there is no such directory");
  write_text(directory / "t-load.csv", "my own table\n");
  refused((directory / "t.csv").string(), "this file is no report", "csv");
  for (const char* const format : {"html", "json", "csv"}) {
    const std::string out = (directory / ("report." + std::string(format))).string();
    for (int i = 0; i < 2; ++i)
      CHECK(run_program({"report", run, "--out", out, "--format", format}).exit_code == 0);
  }
  const auto names = names_in(directory.path());
  CHECK(
      std::ranges::none_of(names, [](const auto& name) { return name.find(".part-") != std::string::npos; }));
}

TEST_CASE("report_command: wrong arguments are user errors") {
  const TempDir directory;
  make_run(directory / "run", {});
  const std::string run = (directory / "run").string();
  const auto error_of = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "report");
    const auto result = run_program(words);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    return result.err;
  };
  CHECK_THAT(error_of({run}), Contains("--out is missing"));
  CHECK_THAT(error_of({run, "--format", "xml"}), Contains("there is no format 'xml'"));
  CHECK_THAT(error_of({run, "--format", "json", "--watch"}), Contains("--watch needs --out"));
  CHECK_THAT(error_of({run, "--out", "r.html", "--every", "0"}), Contains("--every"));
  CHECK_THAT(error_of({(directory / "none").string(), "--out", "r.html"}), Contains("there is no such run"));
}

TEST_CASE("report_command: a watch writes new rows until every run has ended") {
  const TempDir directory;
  make_run(directory / "run", {.done = 2});
  const std::string out = (directory / "report.html").string();
  RunningProgram watch({"report", (directory / "run").string(), "--out", out, "--watch", "--every", "1"});
  REQUIRE(watch.wait_for_err("0 of 1 runs"));
  json report = document_in(out);
  CHECK(report["watching"] == true);
  CHECK(report["refresh_seconds"] == 1);
  CHECK(report["runs"][0]["step"] == 2);
  make_run(directory / "run", {});
  const auto result = watch.wait();
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("1 of 1 runs have ended") && Contains("nothing is left to watch"));
  report = document_in(out);
  CHECK(report["watching"] == false);
  CHECK(report["runs"][0]["step"] == 4);
}

TEST_CASE("report_command: a signal ends a watch, and the newest report stays") {
  const TempDir directory;
  make_run(directory / "run", {.done = 2});
  const std::string out = (directory / "report.html").string();
  for (const int signal : {SIGINT, SIGTERM}) {
    RunningProgram watch({"report", (directory / "run").string(), "--out", out, "--watch"});
    REQUIRE(watch.wait_for_err("0 of 1 runs"));
    watch.send(signal);
    const auto result = watch.wait();
    CHECK(result.exit_code == 128 + signal);
    CHECK(result.signal == signal);
    CHECK(document_in(out)["runs"][0]["step"] == 2);
  }
}
