// granule status from outside.
#include <csignal>

#include <nlohmann/json.hpp>

#include "apps/runs/saved_run.hpp"
#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

nlohmann::json status_of(const std::string& run, std::string* line = nullptr) {
  const ProgramResult result = run_program({"status", run});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  if (line != nullptr) *line = result.err;
  return nlohmann::json::parse(result.out);
}

}  // namespace

TEST_CASE("status_command: status tells how far a run is, its losses, and whether a job holds it") {
  const Workshop shop;
  REQUIRE(shop.train("run", {"train.steps=24"}).exit_code == 0);
  const auto rows = shop.metrics("run");
  std::string line;
  auto status = status_of(shop.path("run"), &line);
  CHECK(status["step"] == 24);
  CHECK(status["steps"] == 24);
  CHECK(status["complete"] == true);
  CHECK(status["running"] == false);
  CHECK(status["job"].is_null());
  CHECK(status["ce"] == rows.back()["ce"]);
  CHECK(status["val_ce"] == rows.back()["val_ce"]);
  CHECK(status["seconds_left"] == 0.0);
  CHECK_THAT(status["checkpoint"].get<std::string>(), Contains("step-00000024"));
  CHECK_THAT(line, Contains("step 24 of 24") && Contains("complete") && Contains("no job holds it"));

  RunningProgram job({"train", shop.path("run.toml"), "train.steps=100000", "eval.every=0",
                      "schedule.kind=constant", "--out", shop.path("long")});
  REQUIRE(job.wait_for_err("step 30/"));
  status = status_of(shop.path("long"), &line);
  CHECK(status["step"].get<int>() >= 30);
  CHECK(status["steps"] == 100000);
  CHECK(status["complete"] == false);
  CHECK(status["running"] == true);
  CHECK_THAT(status["job"].get<std::string>(), Contains("process " + std::to_string(job.pid())));
  CHECK(status["val_ce"].is_null());
  CHECK(status["tokens_per_second"].get<double>() > 0.0);
  CHECK(status["seconds_left"].get<double>() > 0.0);
  CHECK_THAT(line, Contains(" left;") && Contains("held by host"));
  CHECK(job.running());  // reading the status does not disturb the job
}

TEST_CASE("status_command: status refuses what is no run") {
  const Workshop shop;
  for (const char* const place : {"data", "nowhere", "run.toml"}) {
    const ProgramResult result = run_program({"status", shop.path(place)});
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains("this is no run directory"));
  }
}

TEST_CASE("status_command: a directory inside of a run is not one, and the advice names the run") {
  const TempDir dir;
  fs::create_directories(dir / "run/checkpoints/step-00000010");
  granule::write_file(dir / "run/config.toml", "");
  for (const char* const place : {"run/checkpoints", "run/checkpoints/step-00000010/"}) {
    CHECK(granule::advice_for_no_run(dir / place) == "give the run itself, " + (dir / "run").string());
  }
  CHECK(granule::advice_for_no_run(dir / "run") == "give the --out of granule train");
}
