#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/small_tokenizer.hpp"

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
  CHECK_THAT(result.err, Contains("aux_loss_alpha-0.1,n_routed_experts-8 is complete: ce ") &&
                             Contains("(4 of 4 cells have ended)"));
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
  const TempDir directory;
  const fs::path config = write_sweep(directory), out = directory / "out";
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  INFO("random seed " << seed);
  // The sweep is killed soon after it has written these, and each kill leaves more than the one before.
  for (const char* const file : {"sweep.toml", "cells/aux_loss_alpha-0,n_routed_experts-4/metrics.jsonl",
                                 "cells/aux_loss_alpha-0,n_routed_experts-8/checkpoints/latest",
                                 "cells/aux_loss_alpha-0.1,n_routed_experts-4/run.json"}) {
    RunningProgram program(sweep_words(config, out));
    while (program.running() && !fs::exists(out / file))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 200)(random)));
    program.send(SIGKILL);
    static_cast<void>(program.wait());
  }
  const ProgramResult result = run_program(sweep_words(config, out));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(results(out) == straight_results());
}

TEST_CASE("sweep: a sweep that was killed while it began is no directory of something else") {
  const TempDir directory;
  const fs::path out = directory / "out";
  fs::create_directory(out);
  for (const char* const name : {"sweep.toml", "sweep.json.part-00000000"})
    granule::test::write_text(out / name, "");
  const ProgramResult result =
      run_program(sweep_words(write_sweep(directory), out, {"sweep.moe.aux_loss_alpha=[0]"}));
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("sweep: Ctrl-C stops it after saving, with the signal's exit code, and the same command goes on") {
  const TempDir directory;
  const fs::path out = directory / "out", run = out / "cells/aux_loss_alpha-0,n_routed_experts-4";
  const auto words = sweep_words(write_sweep(directory), out,
                                 {"sweep.moe.aux_loss_alpha=[0]", "train.steps=150", "eval.every=0"});
  RunningProgram program(words);
  while (program.running() &&
         (!fs::exists(run / "metrics.jsonl") || fs::file_size(run / "metrics.jsonl") == 0))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  program.send(SIGINT);
  const ProgramResult result = program.wait();
  INFO(result.err);
  CHECK(result.exit_code == 130);
  const json line = json::parse(result.out);
  CHECK(line["stopped_by"] == "SIGINT");
  CHECK(line["complete"] == 0);
  const json cells = cells_in(out);
  CHECK(cells[0]["state"] == "stopped");
  CHECK(cells[1]["state"] == "waiting");
  CHECK(fs::exists(run / "checkpoints/latest"));
  CHECK_THAT(result.err, Contains("SIGINT: the cells that run finish their step and save"));

  const ProgramResult again = run_program(words);
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(json::parse(read_file(run / "run.json"))["sessions"][1]["from_step"] > 0);
}

TEST_CASE("sweep: a signal before the first cell trains nothing") {
  const TempDir directory;
  RunningProgram program(sweep_words(write_sweep(directory), directory / "out"));
  // The directory is locked before times are predicted, which measures the machine for some tenths of a
  // second.
  while (program.running() && !fs::exists(directory / "out/.lock"))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  program.send(SIGTERM);
  const ProgramResult result = program.wait();
  INFO(result.err);
  CHECK(result.exit_code == 143);
  CHECK_THAT(result.err, Contains("SIGTERM"));
  CHECK_FALSE(fs::exists(directory / "out/cells/aux_loss_alpha-0,n_routed_experts-8"));
}

TEST_CASE("sweep: a reader that goes away loses no exit code") {
  const TempDir directory;
  const fs::path config = write_sweep(directory,
                                      "[sweep]\nmode = \"zip\"\nmoe.n_routed_experts = [60000]\n"
                                      "moe.moe_intermediate_size = [100000]\n");
  ProgramResult result = RunningProgram(sweep_words(config, directory / "out"), {.unread = true}).wait();
  CHECK(result.exit_code == 1);
}

TEST_CASE("sweep: a cell that fails is reported, and the others go on") {
  const TempDir directory;
  const fs::path config = write_sweep(directory,
                                      "[sweep]\nmode = \"zip\"\nmoe.n_routed_experts = [60000, 8]\n"
                                      "moe.moe_intermediate_size = [100000, 12]\n");
  const ProgramResult result = run_program(sweep_words(config, directory / "out"));
  INFO(result.err);
  CHECK(result.exit_code == 1);
  const json line = json::parse(result.out);
  CHECK(line["complete"] == 1);
  REQUIRE(line["failed"].size() == 1);
  // A petabyte is more than the disk or the memory of any machine that runs tests.
  CHECK(line["failed"][0]["exit_code"] != 0);
  CHECK_THAT(line["failed"][0]["error"].get<std::string>(), Contains("MiB") || Contains("memory"));
  const json cells = cells_in(directory / "out");
  CHECK(cells[0]["state"] == "failed");
  CHECK(cells[1]["state"] == "complete");
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
    CHECK(cell["predicted_seconds"].get<double>() > 0);
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

  // A schedule follows the length of a run, so longer cells would be compared with shorter ones.
  const ProgramResult longer = run_program(sweep_words(other, out, {"train.steps=22"}));
  CHECK(longer.exit_code == 2);
  CHECK_THAT(longer.err, Contains("train.steps is not what the run began with"));

  // An override of a list keeps the names of cells.
  const ProgramResult override =
      run_program(sweep_words(other, out, {"sweep.moe.aux_loss_alpha=[0.1]", "--dry-run"}));
  CHECK(json::parse(override.out)["cells"][0]["state"] == "complete");
}

TEST_CASE("sweep: a directory of something else is refused, and so is a sweep that runs") {
  const TempDir directory;
  const fs::path config = write_sweep(directory), out = directory / "out";
  const fs::path unrelated = directory / "unrelated.toml";
  granule::test::write_text(unrelated, read_file(small_run().config) + "[sweep]\noptim.lr = [1, 2]\n");
  REQUIRE(run_program(sweep_words(unrelated, directory / "lr", {"train.steps=1"})).exit_code == 0);
  const ProgramResult foreign = run_program(sweep_words(config, directory / "lr"));
  CHECK(foreign.exit_code == 2);
  CHECK_THAT(foreign.err, Contains("another sweep, with no cell in common"));

  const ProgramResult other = run_program(sweep_words(config, small_run().run));
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Contains("neither empty nor the directory of a sweep"));
  CHECK(run_program({"sweep", config}).exit_code == 2);
  CHECK(run_program({"train", config, "--out", directory / "run"}).exit_code == 2);
  CHECK(run_program(sweep_words(config, directory / "new", {"optim.lr=x"})).exit_code == 2);
  CHECK_FALSE(fs::exists(directory / "new"));

  RunningProgram running(sweep_words(config, out, {"train.steps=100000"}));
  while (running.running() && !fs::exists(out / "sweep.json"))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const ProgramResult second = run_program(sweep_words(config, out, {"train.steps=100000"}));
  CHECK(second.exit_code == 73);
}

TEST_CASE("sweep: cells of different data are compared with those of the same") {
  const TempDir directory;
  granule::test::write_text(directory / "other.txt", granule::test::prose(7, 300));
  REQUIRE(
      run_program({"data", "build", "--tokenizer", small_run().tokenizer, "--input", directory / "other.txt",
                   "--out", directory / "other", "--split-lines", "--val-fraction", "0.1"})
          .exit_code == 0);
  const fs::path config = write_sweep(
      directory, fmt::format("[sweep]\ndata.path = [\"{}\", \"{}\"]\nmoe.aux_loss_alpha = [0, 0.1]\n",
                             small_run().data.string(), (directory / "other").string()));
  const ProgramResult result = run_program({"sweep", config, "--out", directory / "out"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("sweep: under mpirun groups of ranks train the cells") {
  const TempDir directory;
  const fs::path out = directory / "out";
  std::vector<std::string> words =
      sweep_words(write_sweep(directory), out, {"--jobs", "2", "train.micro_batch_size=2"});
  words.insert(words.begin(), granule::test::program_path());
  const ProgramResult result = granule::test::under_mpirun(4, words);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(json::parse(result.out)["complete"] == 4);
  for (const json& cell : cells_in(out)) {
    const fs::path run = out / cell["run"].get<std::string>();
    CHECK(cell["state"] == "complete");
    CHECK(json::parse(read_file(run / "run.json"))["sessions"][0]["ranks"] == 2);
  }
  CHECK(json::parse(granule::test::under_mpirun(4, words).out)["complete"] == 4);

  // Groups may end at different steps.
  words = sweep_words(write_sweep(directory, "[sweep]\ntrain.steps = [2, 7]\n"), directory / "lengths",
                      {"--jobs", "2"});
  words.insert(words.begin(), granule::test::program_path());
  CHECK(granule::test::under_mpirun(2, words).exit_code == 0);
}

TEST_CASE("sweep: under mpirun a cell that fails is reported with its exit code, and the others go on") {
  const TempDir directory;
  std::vector<std::string> words =
      sweep_words(write_sweep(directory,
                              "[sweep]\nmode = \"zip\"\nmoe.n_routed_experts = [60000, 8]\n"
                              "moe.moe_intermediate_size = [100000, 12]\n"),
                  directory / "out", {"train.micro_batch_size=2"});
  words.insert(words.begin(), granule::test::program_path());
  const ProgramResult result = granule::test::under_mpirun(2, words);
  INFO(result.err);
  CHECK(result.exit_code == 1);
  const json line = json::parse(result.out);
  CHECK(line["complete"] == 1);
  REQUIRE(line["failed"].size() == 1);
  CHECK(line["failed"][0]["exit_code"] == 2);
  CHECK_THAT(line["failed"][0]["error"].get<std::string>(), Contains("MiB"));
}
