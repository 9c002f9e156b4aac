// Every system call that writes in a run's saves fails in every way. In other tests, the process is killed at
// each of them.
#include <csignal>
#include <fstream>
#include <random>

#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/faulty_disk.hpp"
#include "tests/support/power_cut_disk.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::ExampleCheckpoint;
using granule::test::Fault;
using granule::test::FaultyDisk;
using granule::test::PowerCutDisk;
using granule::test::TempDir;
using granule::test::Unsynced;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kKeep = 2;
constexpr std::int64_t kLastStep = 4;

/// Saves steps 2 to 4, and continues after failures as a trainer may. Calls `saved` after each step that was
/// reported as saved. Returns how many failures were reported, including warnings.
int run_saves(const TempDir& dir, Disk& disk, const std::function<void(std::int64_t)>& saved) {
  int reported = 0;
  try {
    const auto warn = [&](const std::string&) { ++reported; };
    CheckpointWriter writer({dir.path(), kKeep, test::kExampleFileBytes, warn}, disk);
    for (std::int64_t step = 2; step <= kLastStep; ++step) {
      try {
        writer.save(ExampleCheckpoint(step, dir.path()).content());
        saved(step);
      } catch (const Error& error) {
        reported += error.code() == ExitCode::io;
      }
    }
  } catch (const Error& error) {
    reported += error.code() == ExitCode::io;
  }
  return reported;
}

/// Makes a run with step 1 saved, and with files of a killed save that the next start must remove.
void prepare(const TempDir& dir) {
  FaultyDisk disk(Fault::none, 0);
  CheckpointWriter writer({dir.path(), kKeep, test::kExampleFileBytes}, disk);
  writer.save(ExampleCheckpoint(1, dir.path()).content());
  fs::create_directory(dir / "checkpoints" / "tmp.step-00000002");
  std::ofstream(dir / "checkpoints" / "tmp.step-00000002" / "state.json") << "x";
}

int calls_of_the_saves() {
  const TempDir dir(TempDir::Where::memory);
  prepare(dir);
  FaultyDisk disk(Fault::none, 0);
  REQUIRE(run_saves(dir, disk, [](std::int64_t) {}) == 0);
  return disk.calls();
}

/// What must be true whenever the process stops. The newest checkpoint is complete and at least as new as
/// reported. Nothing damaged has the name of a checkpoint, also if it was being removed.
void check_run(const fs::path& run, std::int64_t last_saved, const TempDir& dir) {
  const FoundCheckpoint found = find_newest_valid(run);
  REQUIRE(found.checkpoint);
  CHECK(found.passed_over.empty());
  CHECK(found.checkpoint->step() >= last_saved);
  CHECK(ExampleCheckpoint(found.checkpoint->step(), dir.path()).equals(*found.checkpoint));
  for (const StepDirectory& listed : list_checkpoints(run)) CHECK_NOTHROW(open_checkpoint(listed.path));
}

/// The same, and a new start cleans up and can save.
void check_state(const TempDir& dir, std::int64_t last_saved) {
  check_run(dir.path(), last_saved, dir);
  FaultyDisk disk(Fault::none, 0);
  CheckpointWriter writer({dir.path(), 1, test::kExampleFileBytes}, disk);
  writer.save(ExampleCheckpoint(9, dir.path()).content());
  CHECK(ExampleCheckpoint(9, dir.path()).equals(*find_newest_valid(dir.path()).checkpoint));
  CHECK(std::distance(fs::directory_iterator(dir / "checkpoints"), {}) == 2);  // latest and the one kept
}

void check_fault(Fault fault, int at) {
  INFO("call " << at << ", fault " << static_cast<int>(fault));
  const TempDir dir(TempDir::Where::memory);
  prepare(dir);
  FaultyDisk disk(fault, at);
  std::int64_t last_saved = 1;
  const int reported = run_saves(dir, disk, [&](std::int64_t step) { last_saved = step; });
  const bool harmless = fault == Fault::short_write || fault == Fault::interrupted;
  if (harmless) CHECK(last_saved == kLastStep);
  CHECK((reported > 0) == !harmless);
  check_state(dir, last_saved);
}

/// Runs the saves in a child process that the fault kills. The child reports each saved step through a pipe.
void check_kill(Fault fault, int at) {
  INFO("call " << at << ", fault " << static_cast<int>(fault));
  const TempDir dir(TempDir::Where::memory);
  prepare(dir);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    FaultyDisk disk(fault, at);
    run_saves(dir, disk, [&](std::int64_t step) { (void)!write(ends[1], &step, sizeof(step)); });
    _exit(0);
  }
  close(ends[1]);
  std::int64_t last_saved = 1;
  for (std::int64_t step = 0; read(ends[0], &step, sizeof(step)) == sizeof(step);) last_saved = step;
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  CHECK((killed || (fault == Fault::torn && WIFEXITED(status) && WEXITSTATUS(status) == 0)));
  check_state(dir, last_saved);
}

}  // namespace

TEST_CASE(
    "checkpoint_faults: whichever call of a save fails, the newest checkpoint stays whole and the failure is "
    "reported") {
  const int calls = calls_of_the_saves();
  REQUIRE(calls > 100);
  for (const Fault fault : {Fault::eio, Fault::eio_sticky, Fault::enospc, Fault::enospc_sticky,
                            Fault::short_write, Fault::interrupted}) {
    for (int at = 0; at < calls; ++at) check_fault(fault, at);
  }
}

TEST_CASE(
    "checkpoint_faults: kill -9 at any call of a save, before it or in the middle of a write, leaves the "
    "newest checkpoint "
    "whole") {
  const int calls = calls_of_the_saves();
  for (const Fault fault : {Fault::kill, Fault::torn}) {
    for (int at = 0; at < calls; ++at) check_kill(fault, at);
  }
}

TEST_CASE("checkpoint_faults: a save that failed succeeds when it is tried again with the same step") {
  const int calls = calls_of_the_saves();
  for (int at = 0; at < calls; ++at) {
    INFO("call " << at);
    const TempDir dir(TempDir::Where::memory);
    prepare(dir);
    FaultyDisk disk(Fault::enospc, at);
    std::unique_ptr<CheckpointWriter> writer;
    bool warned = false;
    const auto start = [&] {
      const auto warn = [&](const std::string&) { warned = true; };
      writer = std::make_unique<CheckpointWriter>(CheckpointOptions{dir.path(), 1, 300, warn}, disk);
    };
    const auto save = [&] { writer->save(ExampleCheckpoint(2, dir.path()).content()); };
    try {
      start();
      save();
    } catch (const Error& error) {
      REQUIRE(error.code() == ExitCode::io);
      if (!writer) start();
      REQUIRE_NOTHROW(save());
    }
    if (warned) REQUIRE_NOTHROW(save());  // what was not removed is tried again
    CHECK(ExampleCheckpoint(2, dir.path()).equals(*find_newest_valid(dir.path()).checkpoint));
    std::ifstream latest(dir / "checkpoints" / "latest");
    std::string hint;
    latest >> hint;
    CHECK(hint == "step-00000002");
    if (disk.faults() == 0) break;  // the saves of this test have no more calls
  }
}

TEST_CASE(
    "checkpoint_faults: a power cut after any call of a save leaves the newest saved checkpoint whole") {
  const TempDir dir(TempDir::Where::memory);
  prepare(dir);
  PowerCutDisk disk(dir.path());
  std::vector<std::int64_t> last_saved;  // for each state
  const auto note = [&](std::int64_t step) { last_saved.resize(disk.states() - 1, step - 1); };
  REQUIRE(run_saves(dir, disk, note) == 0);
  last_saved.resize(disk.states(), kLastStep);
  std::mt19937 random(5);
  for (std::size_t state = 0; state < disk.states(); ++state) {
    for (const Unsynced unsynced : {Unsynced::lost, Unsynced::kept, Unsynced::any_part, Unsynced::any_part}) {
      INFO("state " << state << ", unsynced data " << static_cast<int>(unsynced));
      const TempDir place(TempDir::Where::memory);
      disk.restore(state, unsynced, random, place / "run");
      check_run(place / "run", last_saved[state], dir);
    }
  }
}
