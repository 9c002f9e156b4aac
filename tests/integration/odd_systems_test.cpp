// granule train with data that come slowly or never, without locks, with files that cannot be removed, and on
// a disk that a killed save has filled. granule data import with little memory is tested here too.
#include <cerrno>
#include <csignal>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/faulty_run.hpp"
#include "tests/support/hdf5_file.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> words_of(const Workshop& shop, const char* out,
                                  const std::vector<std::string>& more) {
  std::vector<std::string> words{"train", shop.path("run.toml"), "--out", shop.path(out)};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Makes shards in pieces of 16 words. Nothing of them is mapped, so a piece is read when a sample needs it.
void make_shards_of_pieces(const Workshop& shop) {
  std::vector<std::uint16_t> words;
  for (int i = 0; i < 16 * 70 + 1; ++i) words.push_back(static_cast<std::uint16_t>(i * 7 % 59));
  for (const char* const name : {"data/train-00000.h5", "data/val-00000.h5"}) {
    fs::remove(shop.directory / name);
    const Hdf5File file(shop.directory / name);
    file.dataset("data", words, {.chunk = 16});
  }
}

const std::vector<std::string> kWatched{
    "model.vocab_size=59", "parallel.watchdog_seconds=1", "train.steps=1",
    "train.batch_size=8",  "train.micro_batch_size=8",    "eval.batches=1",
    "eval.every=1",        "checkpoint.every=1"};

/// The bytes of all files below a directory.
std::uintmax_t bytes_of(const fs::path& directory) {
  std::uintmax_t sum = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file()) sum += entry.file_size();
  return sum;
}

}  // namespace

TEST_CASE("data that come slowly, in a step and in an evaluation, are no hang as long as they come") {
  const Workshop shop;
  make_shards_of_pieces(shop);
  const std::string begun = shop.path("run") + "/metrics.jsonl";
  for (const char* const split : {"train", "val"}) {
    fs::remove_all(shop.directory / "run");
    const auto start = std::chrono::steady_clock::now();
    const ProgramResult result =
        run_on_odd_system(fmt::format("slow={} milliseconds=250 calls=8 when={}", split, begun),
                          words_of(shop, "run", kWatched));
    INFO(split << '\n' << result.err);
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.err, !Contains("has not moved"));
    CHECK(std::chrono::steady_clock::now() - start > std::chrono::seconds(2));
    CHECK(shop.metrics("run").size() == 1);
  }
}

TEST_CASE("a disk that takes a checkpoint slowly is no hang as long as it takes some") {
  const Workshop shop;
  for (const int ranks : {1, 2}) {
    fs::remove_all(shop.directory / "run");
    const auto start = std::chrono::steady_clock::now();
    const ProgramResult result =
        run_on_odd_system("slow=.safetensors milliseconds=400 calls=6",
                          words_of(shop, "run",
                                   {"parallel.watchdog_seconds=1", "train.steps=1", "train.batch_size=8",
                                    "train.micro_batch_size=4", "eval.every=0"}),
                          {}, ranks);
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(std::chrono::steady_clock::now() - start > std::chrono::milliseconds(2400));
    CHECK(fs::exists(shop.checkpoint("run", 1)));
  }
}

TEST_CASE("ranks wait for one whose data come slowly, and end with one whose data never come") {
  const Workshop shop;
  make_shards_of_pieces(shop);
  for (const bool ever : {true, false}) {
    fs::remove_all(shop.directory / "run");
    const ProgramResult result = run_on_odd_system(
        fmt::format("{} when={}/metrics.jsonl rank=1",
                    ever ? "slow=train milliseconds=600 calls=6" : "stuck=train", shop.path("run")),
        words_of(shop, "run",
                 {"model.vocab_size=59", "parallel.watchdog_seconds=1", "train.steps=5", "train.batch_size=8",
                  "train.micro_batch_size=4", "eval.every=0"}),
        {}, 2);
    INFO(result.err);
    CHECK(result.exit_code == (ever ? 0 : 75));
  }
}

TEST_CASE("a read that never returns is a hang, which the watchdog ends") {
  const Workshop shop;
  make_shards_of_pieces(shop);
  const std::string begun = shop.path("run") + "/metrics.jsonl";
  for (const auto& [split, phase] : {std::pair{"train", "data"}, {"val", "evaluation"}}) {
    fs::remove_all(shop.directory / "run");
    const ProgramResult result =
        run_on_odd_system(fmt::format("stuck={} when={}", split, begun), words_of(shop, "run", kWatched));
    INFO(split << '\n' << result.err);
    CHECK(result.exit_code == 75);
    CHECK_THAT(result.err, Contains("the watchdog found a hang") &&
                               Contains(fmt::format("in step 1, phase '{}'", phase)));
    CHECK(fs::exists(shop.checkpoint("run", 1)) == (std::string(split) == "val"));
  }
}

TEST_CASE("a run trains where there are no locks and says so, and only a lock that is held is another job") {
  const Workshop shop;
  const auto with_locks = [&](int error, const char* of, const std::vector<std::string>& more) {
    return run_on_odd_system(fmt::format("flock={} of={}", error, of), words_of(shop, "run", more));
  };
  const std::vector<std::string> two{"train.steps=2", "--resume"};
  for (const int error : {ENOSYS, ENOLCK, EOPNOTSUPP}) {
    fs::remove_all(shop.directory / "run");
    // Neither the run's directory nor its shards can be locked.
    for (const char* const steps : {"train.steps=2", "train.steps=3"}) {
      const ProgramResult result =
          with_locks(error, ".", {steps, "schedule.kind=constant", "--resume", "eval.every=0"});
      INFO(result.err);
      CHECK(result.exit_code == 0);
      CHECK_THAT(result.err,
                 Contains("warning: cannot lock ") && Contains("make sure that no other job writes here"));
    }
    CHECK(shop.metrics("run").size() == 3);
  }
  const ProgramResult refused = with_locks(EWOULDBLOCK, ".lock", {"--resume"});
  INFO(refused.err);
  CHECK(refused.exit_code == 73);
  CHECK_THAT(refused.err, Contains("another job uses the directory"));
  CHECK(shop.metrics("run").size() == 3);
}

TEST_CASE("a run whose old checkpoint cannot be removed goes on, and is resumed, with a warning") {
  const Workshop shop;
  const auto train = [&](const std::string& system, const std::string& steps) {
    return run_on_odd_system(system, words_of(shop, "run",
                                              {"--resume", "checkpoint.every=10", "checkpoint.keep=1",
                                               "eval.every=0", "schedule.kind=constant", steps}));
  };
  const fs::path held = shop.directory / "run/checkpoints/trash.step-00000010.0";
  for (const char* const steps : {"train.steps=40", "train.steps=50"}) {
    const ProgramResult result = train("busy=trash.step-00000010.0/model", steps);
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.err, Contains("trash.step-00000010.0/model") && Contains("Device or resource busy") &&
                               Contains("the next save tries again"));
    CHECK(fs::exists(held));
  }
  CHECK(fs::exists(shop.checkpoint("run", 50)));
  CHECK(train("", "train.steps=60").exit_code == 0);
  CHECK_FALSE(fs::exists(held));
}

TEST_CASE("a save that was killed on a disk of the documented size is swept before room is looked for") {
  const Workshop shop;
  const std::vector<std::string> keys{"checkpoint.every=10", "checkpoint.keep=3", "eval.every=0", "--resume"};
  REQUIRE(shop.train("straight", keys).exit_code == 0);
  const std::uintmax_t one = bytes_of(shop.checkpoint("straight", 40));
  const std::uintmax_t beside = bytes_of(shop.directory / "straight") - 3 * one;
  for (const bool removing : {false, true}) {
    fs::remove_all(shop.directory / "run");
    // There is room for four checkpoints and for the other files.
    const std::string disk = fmt::format("disk={} under={}", 4 * one + beside + one / 4, shop.path("run"));
    const ProgramResult killed =
        run_on_odd_system(disk, words_of(shop, "run", keys), "kill rank=0 step=40 at=commit");
    INFO(killed.err);
    REQUIRE(killed.signal == SIGKILL);
    const fs::path checkpoints = shop.directory / "run/checkpoints";
    REQUIRE(fs::exists(checkpoints / "tmp.step-00000040"));
    if (removing) fs::rename(checkpoints / "tmp.step-00000040", checkpoints / "trash.step-00000040.0");
    const ProgramResult resumed = run_on_odd_system(disk, words_of(shop, "run", keys));
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK_THAT(resumed.err, Contains("going on from step-00000030"));
    CHECK((shop.tensors("run", 40) == shop.tensors("straight", 40)));
  }
  // A file that is not a leftover is not removed, so there is no room.
  fs::remove_all(shop.checkpoint("run", 40));
  write_text(shop.directory / "run/of-others", std::string(one, 'x'));
  const ProgramResult full =
      run_on_odd_system(fmt::format("disk={} under={}", 3 * one + beside + one / 4, shop.path("run")),
                        words_of(shop, "run", keys));
  INFO(full.err);
  CHECK(full.exit_code == 2);
  CHECK_THAT(full.err, Contains("no room for checkpoints"));
}

TEST_CASE("an import without documents takes no more memory than a shard, however long its file is") {
  const TempDir dir;
  write_text(dir / "ids.bin", "");
  fs::resize_file(dir / "ids.bin", 2 * 30'000'000);
  // Ten bytes for each of 30 million ids would be 300 MB.
  const ProgramResult result = run_program(
      {"-c", "ulimit -d 150000; exec \"$0\" \"$@\"", program_path(), "data", "import", "--format", "nanogpt",
       dir / "ids.bin", "--vocab-size", "50257", "--shard-tokens", "4000000", "--out", dir / "set"},
      {.program = "/bin/sh"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(fs::exists(dir / "set/train-00000.h5"));
}
