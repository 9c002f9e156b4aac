#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include <nlohmann/json.hpp>

#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using Catch::Contains;
using granule::read_file;
using granule::test::ProgramResult;
using granule::test::run_program;
using granule::test::RunningProgram;
using granule::test::small_run;
using granule::test::TempDir;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTable = R"(
[sweep]
moe.aux_loss_alpha = [0, 0.1]
moe.n_routed_experts = [4, 8]
)";

/// A sweep of four cells of the small run's config.
fs::path write_sweep(const TempDir& directory, std::string_view table = kTable) {
  const fs::path file = directory / "sweep.toml";
  granule::test::write_text(file, read_file(small_run().config) + std::string(table));
  return file;
}

std::vector<std::string> sweep_words(const fs::path& config, const fs::path& out,
                                     std::vector<std::string> more = {}) {
  std::vector<std::string> words{
      "sweep", config, "--out", out, "data.path=" + small_run().data.string(), "checkpoint.every=5"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

json record(const fs::path& out) {
  return json::parse(read_file(out / "sweep.json"));
}

json cells_in(const fs::path& out) {
  return record(out).at("cells");
}

/// The bytes of every cell's last weights, and the losses that its rows tell.
std::map<std::string, std::string> results(const fs::path& out) {
  std::map<std::string, std::string> all;
  for (const json& cell : cells_in(out)) {
    const fs::path run = out / cell["run"].get<std::string>();
    std::string text =
        granule::xxh3_of_file(run / "checkpoints/step-00000020/model-00001-of-00001.safetensors");
    std::ifstream metrics(run / "metrics.jsonl");
    for (std::string line; std::getline(metrics, line);) {
      const json row = json::parse(line);
      text += row["ce"].dump() + " " + row.value("val_ce", json()).dump() + " ";
    }
    all[cell["name"]] = cell["state"].get<std::string>() + " " + text;
  }
  return all;
}

/// The results of a sweep that nothing disturbed.
const std::map<std::string, std::string>& straight_results() {
  static const auto results_of_straight = [] {
    const TempDir directory;
    const ProgramResult result = run_program(sweep_words(write_sweep(directory), directory / "out"));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return results(directory / "out");
  }();
  return results_of_straight;
}

}  // namespace

TEST_CASE("sweep: all cells are trained, and one line says so") {
  const TempDir directory;
  const ProgramResult result = run_program(sweep_words(write_sweep(directory), directory / "out"));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  const json line = json::parse(result.out);
  CHECK(line["cells"] == 4);
  CHECK(line["complete"] == 4);
  CHECK(line["failed"].empty());
  CHECK(line["stopped_by"].is_null());
  CHECK_THAT(result.err, Contains("cell 4 of 4: aux_loss_alpha-0.1,n_routed_experts-8 is complete: ce "));
  for (const json& cell : cells_in(directory / "out")) {
    CHECK(cell["state"] == "complete");
    CHECK(fs::exists(directory / "out" / cell["run"].get<std::string>() / "run.json"));
  }
}

TEST_CASE("sweep: cells read the same batches and start from the same values") {
  const TempDir directory;
  const fs::path out = directory / "out";
  REQUIRE(run_program(sweep_words(write_sweep(directory), out)).exit_code == 0);
  std::vector<json> digests;
  for (const json& cell : cells_in(out))
    digests.push_back(json::parse(read_file(out / cell["run"].get<std::string>() / "digests.json")));
  const char* const expert = "model.layers.1.mlp.experts.3.up_proj.weight";
  const char* const router = "model.layers.1.mlp.gate.weight";
  for (const json& one : digests) {
    CHECK(one["batches"] == digests[0]["batches"]);
    CHECK(one["values"][expert] == digests[0]["values"][expert]);
  }
  CHECK(digests[0]["values"][router]["shape"] != digests[1]["values"][router]["shape"]);
  CHECK(digests[1]["values"][router] == digests[3]["values"][router]);

  // The check of the program itself finds a run that began otherwise.
  const fs::path file = out / cells_in(out)[2]["run"].get<std::string>() / "digests.json";
  granule::test::replace_in(file, digests[2]["values"][expert]["xxh3"], "0123456789abcdef");
  const ProgramResult again = run_program(sweep_words(directory / "sweep.toml", out));
  CHECK(again.exit_code == 1);
  CHECK_THAT(again.err, Contains(expert) && Contains("did not start from the values of"));
  CHECK(json::parse(again.out)["failed"][0]["cell"] == cells_in(out)[2]["name"]);
}

TEST_CASE("sweep: two cells at once have the same bits as one after another") {
  const TempDir directory;
  const ProgramResult result =
      run_program(sweep_words(write_sweep(directory), directory / "out", {"--jobs", "2"}));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(results(directory / "out") == straight_results());
}

TEST_CASE("sweep: after kill -9 at any moment, the same command comes to the same table") {
  std::mt19937 random(std::random_device{}());
  const TempDir directory;
  const fs::path config = write_sweep(directory);
  for (int i = 0; i < 3; ++i) {
    RunningProgram program(sweep_words(config, directory / "out"));
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::uniform_int_distribution<int>(50, 1200)(random)));
    program.send(SIGKILL);
    static_cast<void>(program.wait());
  }
  const ProgramResult result = run_program(sweep_words(config, directory / "out"));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(results(directory / "out") == straight_results());
}

TEST_CASE("sweep: Ctrl-C stops it after saving, with the signal's exit code, and the same command goes on") {
  const TempDir directory;
  const fs::path config = write_sweep(directory);
  RunningProgram program(sweep_words(config, directory / "out", {"train.steps=100000"}));
  const fs::path metrics = directory / "out/cells/aux_loss_alpha-0,n_routed_experts-4/metrics.jsonl";
  while (program.running() && (!fs::exists(metrics) || fs::file_size(metrics) == 0))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  INFO(result.err);
  CHECK(result.exit_code == 130);
  const json line = json::parse(result.out);
  CHECK(line["stopped_by"] == "SIGINT");
  CHECK(line["complete"] == 0);
  const json cells = cells_in(directory / "out");
  CHECK(cells[0]["state"] == "stopped");
  CHECK(cells[1]["state"] == "waiting");
  CHECK(fs::exists(directory / "out/cells/aux_loss_alpha-0,n_routed_experts-4/checkpoints/latest"));
  CHECK_THAT(result.err, Contains("SIGINT: the cells that run finish their step and save"));
}

TEST_CASE("sweep: a cell that fails is reported, and the others go on") {
  const TempDir directory;
  const fs::path config = write_sweep(directory,
                                      "[sweep]\nmode = \"zip\"\nmoe.n_routed_experts = [8, 60000]\n"
                                      "moe.moe_intermediate_size = [12, 100000]\n");
  const ProgramResult result = run_program(sweep_words(config, directory / "out"));
  INFO(result.err);
  CHECK(result.exit_code == 1);
  const json line = json::parse(result.out);
  CHECK(line["complete"] == 1);
  REQUIRE(line["failed"].size() == 1);
  // A petabyte is more than the disk or the memory of any machine that runs tests.
  CHECK(line["failed"][0]["exit_code"] != 0);
  CHECK_THAT(line["failed"][0]["error"].get<std::string>(), Contains("MiB") || Contains("memory"));
  CHECK(cells_in(directory / "out")[1]["state"] == "failed");
  CHECK_THAT(result.err, Contains("1 of 2 cells failed"));
}

TEST_CASE("sweep: a dry run prints the cells and trains nothing") {
  const TempDir directory;
  const fs::path config =
      write_sweep(directory, std::string(kTable) +
                                 "solve = \"activated_params\"\nsolve_key = \"moe.moe_intermediate_size\"\n");
  std::vector<std::string> words{"sweep", config, "--dry-run", "data.path=" + small_run().data.string(),
                                 "moe.moe_intermediate_size=200"};
  const ProgramResult result = run_program(words);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const json plan = json::parse(result.out);
  CHECK(plan["cells"].size() == 4);
  for (const json& cell : plan["cells"]) {
    CHECK(std::abs(cell["residual"].get<double>()) <= 0.005);
    CHECK(cell["parameters"]["activated"] == cell["budget"]);
    CHECK(cell["seconds_left"].get<double>() > 0);
  }
  CHECK_THAT(result.err, Contains("residual") && Contains("4 cells; about"));
  CHECK(std::distance(fs::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("sweep: a changed file says which cells are new, changed and obsolete") {
  const TempDir directory;
  const fs::path out = directory / "out";
  REQUIRE(run_program(sweep_words(write_sweep(directory), out)).exit_code == 0);
  const auto untouched = fs::last_write_time(out / "cells/aux_loss_alpha-0,n_routed_experts-4/metrics.jsonl");
  const fs::path other =
      write_sweep(directory, "[sweep]\nmoe.aux_loss_alpha = [0, 0.1]\nmoe.n_routed_experts = [4, 16]\n");

  const ProgramResult dry = run_program(sweep_words(other, out, {"--dry-run"}));
  CHECK_THAT(dry.err, Contains("n_routed_experts-16") && Contains("new") && Contains("complete"));
  const json plan = json::parse(dry.out);
  CHECK(plan["obsolete"] ==
        json{"aux_loss_alpha-0,n_routed_experts-8", "aux_loss_alpha-0.1,n_routed_experts-8"});

  const ProgramResult result = run_program(sweep_words(other, out));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("n_routed_experts-8 is no cell of this sweep any more"));
  CHECK(fs::last_write_time(out / "cells/aux_loss_alpha-0,n_routed_experts-4/metrics.jsonl") == untouched);

  const ProgramResult changed = run_program(sweep_words(other, out, {"optim.lr=0.5"}));
  CHECK(changed.exit_code == 2);
  CHECK_THAT(changed.err,
             Contains("4 of the sweep's cells have runs of another config") && Contains("optim.lr"));
  CHECK_THAT(run_program(sweep_words(other, out, {"optim.lr=0.5", "--dry-run"})).err, Contains("changed"));

  // Longer cells are compared by what they began with, also beside a new one.
  const fs::path more =
      write_sweep(directory, "[sweep]\nmoe.aux_loss_alpha = [0, 0.1]\nmoe.n_routed_experts = [4, 16, 32]\n");
  const ProgramResult longer = run_program(sweep_words(more, out, {"train.steps=22"}));
  INFO(longer.err);
  CHECK(longer.exit_code == 0);
  CHECK(fs::exists(out / "cells/aux_loss_alpha-0,n_routed_experts-4/checkpoints/step-00000022"));
}

TEST_CASE("sweep: a directory of something else is refused, and so is a sweep that runs") {
  const TempDir directory;
  const fs::path config = write_sweep(directory);
  const ProgramResult other = run_program(sweep_words(config, small_run().run));
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Contains("neither empty nor the directory of a sweep"));
  CHECK(run_program({"sweep", config}).exit_code == 2);
  CHECK(run_program({"train", config, "--out", directory / "run"}).exit_code == 2);
}

TEST_CASE("sweep: under mpirun groups of ranks train the cells") {
  const TempDir directory;
  std::vector<std::string> words =
      sweep_words(write_sweep(directory), directory / "out", {"--jobs", "2", "train.micro_batch_size=2"});
  words.insert(words.begin(), granule::test::program_path());
  const ProgramResult result = granule::test::under_mpirun(4, words);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(json::parse(result.out)["complete"] == 4);
  for (const json& cell : cells_in(directory / "out")) {
    const json run = json::parse(read_file(directory / "out" / cell["run"].get<std::string>() / "run.json"));
    CHECK(run["sessions"][0]["ranks"] == 2);
  }
}
