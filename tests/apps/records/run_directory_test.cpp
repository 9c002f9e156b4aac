// What a job that fails early leaves in a run directory, and what it must not remove.
#include "apps/records/run_directory.hpp"

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using granule::test::names_in;
using granule::test::TempDir;
namespace fs = std::filesystem;

namespace {

const RouterLayout kLayout{{1}, 2};

/// A start up to the first step, and then `steps` steps.
void start(const fs::path& path, RunDirectory::Open mode, int steps) {
  RunDirectory directory(path, mode);
  directory.write_config("steps = 1\n");
  test::write_text(path.parent_path() / "tokenizer.json", "{}");
  directory.copy_tokenizer(path.parent_path() / "tokenizer.json");
  fs::create_directory(path / "checkpoints");
  directory.open_records(kLayout, 0, RunDirectory::TensorBoard::yes);
  directory.log("about to begin");
  const std::vector<std::int64_t> counts{3, 5};
  for (int step = 1; step <= steps; ++step) {
    directory.append_counts(counts);
    directory.append_metrics({{"step", step}});
  }
}

}  // namespace

TEST_CASE(
    "run_directory: a job that fails before its first step leaves an empty directory that can be given "
    "again") {
  const TempDir temp;
  const std::vector<std::string> lock{".lock"};
  start(temp / "run", RunDirectory::Open::fresh, 0);
  CHECK(names_in(temp / "run") == lock);
  start(temp / "run", RunDirectory::Open::resume, 0);
  CHECK(names_in(temp / "run") == lock);
  start(temp / "run", RunDirectory::Open::fresh, 1);
  CHECK(names_in(temp / "run") == std::vector<std::string>{".lock", "checkpoints", "config.toml", "log.txt",
                                                           "metrics.jsonl", "router.bin", "tensorboard",
                                                           "tokenizer.json"});
  CHECK_THROWS_AS(start(temp / "run", RunDirectory::Open::fresh, 1), Error);
}

TEST_CASE("run_directory: a job that fails before its first step takes nothing away that was there") {
  const TempDir temp;
  start(temp / "run", RunDirectory::Open::fresh, 3);
  const auto before = names_in(temp / "run");
  {
    RunDirectory directory(temp / "run", RunDirectory::Open::resume);
    directory.log("fails at once");
  }
  CHECK(names_in(temp / "run") == before);
  CHECK(test::text_of(temp / "run/metrics.jsonl") == "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
}

TEST_CASE(
    "run_directory: what a job leaves that is killed before its first step can be given again, and nothing "
    "else") {
  const TempDir temp;
  const fs::path run = temp / "run";
  const auto killed_early = [&] {
    fs::remove_all(run);
    fs::create_directories(run / "checkpoints");
    for (const char* name : {".lock", "log.txt", "config.toml", "metrics.jsonl"})
      test::write_text(run / name, "");
    test::write_text(run / "router.bin", std::string(RouterLayout::kHeaderBytes, ' '));
  };
  const auto refused = [&] {
    const auto before = names_in(run);
    CHECK_THROWS_WITH(start(run, RunDirectory::Open::fresh, 1), Catch::Contains("not empty"));
    CHECK(names_in(run) == before);
  };
  killed_early();
  start(run, RunDirectory::Open::fresh, 1);
  CHECK(test::text_of(run / "metrics.jsonl") == "{\"step\":1}\n");
  killed_early();
  test::write_text(run / "metrics.jsonl", "{\"step\":1}\n");
  refused();
  killed_early();
  test::write_text(run / "router.bin", std::string(RouterLayout::kHeaderBytes + 8, ' '));
  refused();
  killed_early();
  fs::create_directory(run / "checkpoints" / "step-00000001");
  refused();
  killed_early();
  test::write_text(run / "notes.txt", "mine");
  refused();
  killed_early();
  fs::remove(run / "log.txt");  // a user's config.toml in a directory where a start once failed
  refused();
}

TEST_CASE("run_directory: a fresh start in the directory of a job that runs names the job") {
  const TempDir temp;
  RunDirectory running(temp / "run", RunDirectory::Open::fresh);
  running.write_config("steps = 1\n");
  running.open_records(kLayout, 0, RunDirectory::TensorBoard::no);
  running.append_metrics({{"step", 1}});
  try {
    start(temp / "run", RunDirectory::Open::fresh, 1);
    FAIL("it started");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::in_use);
    CHECK_THAT(error.what(), Catch::Contains("another job"));
  }
}

TEST_CASE("run_directory: a failed start leaves a link to checkpoints on another disk where it was") {
  const TempDir temp;
  fs::create_directory(temp / "big");
  fs::create_directory(temp / "run");
  fs::create_directory_symlink(temp / "big", temp / "run/checkpoints");
  for (int i = 0; i < 2; ++i) {
    RunDirectory directory(temp / "run", RunDirectory::Open::resume);
    directory.log("fails at once");
  }
  CHECK(fs::is_symlink(temp / "run/checkpoints"));
}
