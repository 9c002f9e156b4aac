#ifdef GRANULE_WITH_SENTENCEPIECE  // the script trains a tokenizer
// scripts/quickstart from outside, interrupted and run again. The script and the program are the real ones.
// The config is small, and nothing must be installed or built.
#include <csignal>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
namespace fs = std::filesystem;
using Catch::Contains;

namespace {

constexpr const char* kConfig = R"(
[model]
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 24
max_position_embeddings = 128
[moe]
n_routed_experts = 4
num_experts_per_tok = 2
moe_intermediate_size = 8
first_k_dense_replace = 1
[data]
seq_len = 16
[schedule]
kind = "constant"
[train]
batch_size = 2
)";

/// A project that has the script.
struct Project {
  TempDir root;

  Project() {
    fs::create_directories(root / "build/release/apps");
    fs::create_directories(root / "configs/quickstart");
    fs::create_directories(root / "scripts");
    fs::create_directories(root / "bin");
    fs::copy_file(source_dir() + "/scripts/quickstart", root / "scripts/quickstart");
    fs::copy_file(source_dir() + "/configs/quickstart/moby-dick.txt",
                  root / "configs/quickstart/moby-dick.txt");
    fs::create_symlink(program_path(), root / "build/release/apps/granule");
    for (const char* const nothing : {"scripts/install-deps", "bin/cmake"}) {
      write_text(root / nothing, "#!/bin/sh\n");
      fs::permissions(root / nothing, fs::perms::owner_all);
    }
  }
  void set_steps(std::int64_t steps) const {
    write_text(root / "configs/quickstart.toml", kConfig + fmt::format("steps = {}\n", steps));
  }
  [[nodiscard]] ProgramOptions options() const {
    const char* const path = std::getenv("PATH");
    return {.environment = {{"PATH", (root / "bin").string() + ":" + (path == nullptr ? "" : path)}},
            .program = root / "scripts/quickstart",
            .timeout = std::chrono::seconds(300)};
  }
  [[nodiscard]] fs::path work() const { return root / "runs/quickstart"; }
  [[nodiscard]] std::int64_t steps_done() const {
    const auto latest = text_of(work() / "run/checkpoints/latest");
    return std::stoll(latest.substr(latest.find('-') + 1));
  }
  [[nodiscard]] pid_t trainer() const {
    const std::string owner = text_of(work() / "run/.lock");
    return std::stoi(owner.substr(owner.find("process ") + 8));
  }
};

}  // namespace

TEST_CASE("quickstart asks for what building needs alone, and a build folder with tests keeps them") {
  const Project project;
  for (const char* const noted : {"scripts/install-deps", "bin/cmake"}) {
    write_text(project.root / noted, "#!/bin/sh\necho \"$@\" >>calls\n[ \"$1\" = --build-only ]\n");
  }
  CHECK(run_program({}, project.options()).exit_code == 1);  // the cmake of the project fails
  CHECK(text_of(project.root / "calls") == "--build-only\n--preset release -DGRANULE_BUILD_TESTS=OFF\n");
  write_text(project.root / "build/release/CMakeCache.txt", "GRANULE_BUILD_TESTS:BOOL=ON\n");
  CHECK(run_program({}, project.options()).exit_code == 1);
  CHECK_THAT(text_of(project.root / "calls"),
             Contains("--build-only\n--preset release -DGRANULE_BUILD_TESTS=ON\n"));
}

TEST_CASE("an interrupted quickstart stops, goes on when it is run again, and remakes an old export") {
  const Project project;
  project.set_steps(100'000);
  for (const bool by_terminal : {true, false}) {
    CAPTURE(by_terminal);
    RunningProgram running({}, project.options());
    REQUIRE(running.wait_for_err(by_terminal ? "step 3/" : "tok/s"));
    ::kill(by_terminal ? -running.pid() : project.trainer(), by_terminal ? SIGINT : SIGTERM);
    const ProgramResult stopped = running.wait();
    INFO(stopped.err);
    CHECK(stopped.exit_code == (by_terminal ? 130 : 143));
    CHECK_THAT(stopped.err, Contains("Stopped. To go on where this ended: scripts/quickstart\033"));
    CHECK_THAT(stopped.err, Contains("saved step-"));
    CHECK(!fs::exists(project.work() / "eval.json"));
    CHECK(!fs::exists(project.work() / "hf"));
  }
  const auto run_to = [&](std::int64_t steps) {
    project.set_steps(steps);
    const ProgramResult result = run_program({}, project.options());
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK_THAT(result.err, Contains("What next:"));
    CHECK(nlohmann::json::parse(text_of(project.work() / "eval.json"))["step"] == project.steps_done());
    return text_of(project.work() / "hf/model.safetensors");
  };
  const std::int64_t done = project.steps_done();
  const std::string first = run_to(done);
  CHECK(run_to(done + 3) != first);
  CHECK(project.steps_done() == done + 3);
  const auto exported = fs::last_write_time(project.work() / "hf/model.safetensors");
  run_to(done + 3);
  CHECK(fs::last_write_time(project.work() / "hf/model.safetensors") == exported);
}
#endif
