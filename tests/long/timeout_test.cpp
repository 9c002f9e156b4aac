// A job under GNU timeout, which sends its signal to the process and to its group.

#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/workshop.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("eighty jobs that timeout stops have eighty saves, with SIGTERM and with SIGUSR2") {
  const Workshop shop;
  for (const std::string signal : {"TERM", "USR2"}) {
    int begun = 0, saves = 0;
    for (int job = 0; job < 300 && begun < 80; ++job) {
      std::filesystem::remove_all(shop.directory / "run");
      const ProgramResult result =
          run_program({"-s", signal, "1", program_path(), "train", shop.path("run.toml"), "--out",
                       shop.path("run"), "train.steps=10000000", "schedule.kind=constant", "log.every=100000",
                       "checkpoint.every=0", "eval.every=0"},
                      {.program = "/usr/bin/timeout"});
      INFO(result.err);
      CHECK(result.exit_code == 124);
      if (result.err.find("memory:") == std::string::npos) continue;  // stopped before the first step
      ++begun;
      const FoundCheckpoint found = find_newest_valid(shop.directory / "run");
      if (found.checkpoint && found.passed_over.empty()) ++saves;
    }
    CHECK(begun == 80);
    CHECK(saves == 80);
  }
}
