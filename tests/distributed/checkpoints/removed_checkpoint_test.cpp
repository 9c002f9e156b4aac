// A program reads a run's newest checkpoint while the run continues and removes it.
#include <atomic>
#include <thread>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::ExampleCheckpoint;
using granule::test::TempDir;
namespace fs = std::filesystem;

TEST_CASE(
    "removed_checkpoint: a checkpoint that is removed while it is read leads to the one that came after it") {
  const TempDir dir(TempDir::Where::memory);
  CheckpointWriter writer({dir.path(), 1, test::kExampleFileBytes});
  writer.save(ExampleCheckpoint(1, dir.path()).content());
  std::atomic<bool> done = false;
  std::thread run([&] {  // it keeps one, so each save removes what a reader may have listed
    for (std::int64_t step = 2; !done; ++step) writer.save(ExampleCheckpoint(step, dir.path()).content());
  });
  for (int i = 0; i < 100; ++i) {
    const FoundCheckpoint found = find_newest_valid(dir.path());
    CHECK(found.checkpoint);
    CHECK(found.passed_over.empty());
    if (!found.checkpoint) break;
  }
  done = true;
  run.join();
}

TEST_CASE("removed_checkpoint: a directory of checkpoints is searched whatever its name") {
  const TempDir dir;
  fs::create_directory(dir / "run");
  CheckpointWriter writer({dir / "run", 3, test::kExampleFileBytes});
  for (const std::int64_t step : {1, 2}) writer.save(ExampleCheckpoint(step, dir.path()).content());
  fs::rename(dir / "run/checkpoints", dir / "copied");
  CHECK(find_newest_in(dir / "copied").checkpoint->step() == 2);
  CHECK(list_steps_in(dir / "copied").size() == 2);
  CHECK(list_steps_in(dir / "nothing").empty());
}
