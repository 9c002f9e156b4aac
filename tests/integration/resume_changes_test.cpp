// What may change when a run is resumed: the paths of its data, and the size of its micro-batches.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> mix_of(const std::string& first, const std::string& second, double weight = 3.0) {
  return {"data.path=\"\"",
          fmt::format("data.mix=[{{path = \"{}\", weight = {}}}, {{path = \"{}\", weight = 1}}]", first,
                      weight, second)};
}

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Takes a finished run back to step 20.
void half_run(const Workshop& shop, const char* run, const std::vector<std::string>& words) {
  REQUIRE(shop.train(run, words).exit_code == 0);
  fs::remove_all(shop.checkpoint(run, 40));
}

void check_refused(const ProgramResult& result, const std::string& message) {
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.err.find(message) != std::string::npos);
}

}  // namespace

TEST_CASE("a run goes on with its data in another place, and with no other data") {
  const Workshop shop;
  half_run(shop, "run", {});
  const auto before = shop.metrics("run");
  fs::rename(shop.directory / "data", shop.directory / "scratch");
  fs::create_directory_symlink(shop.directory / "scratch", shop.directory / "link");
  check_refused(shop.train("run", {"--resume"}), "no such directory");
  fs::create_directory(shop.directory / "other");
  write_shard(shop.directory / "other/train-00000.h5", patterned_documents(9, 120, 59), 59);
  fs::copy(shop.directory / "scratch/val-00000.h5", shop.directory / "other");
  check_refused(shop.train("run", {"--resume", "data.path=" + shop.path("other")}),
                "the data is not what the run was trained on");
  for (const char* const place : {"scratch", "link"}) {
    const ProgramResult result = shop.train("run", {"--resume", "data.path=" + shop.path(place)});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(shop.metrics("run") == before);
    fs::remove_all(shop.checkpoint("run", 40));
  }
}

TEST_CASE("a run of mixed data goes on with its sources in other places, in the same order and weights") {
  const Workshop shop;
  fs::copy(shop.directory / "data", shop.directory / "more", fs::copy_options::recursive);
  fs::remove(shop.directory / "more/train-00000.h5");
  write_shard(shop.directory / "more/train-00000.h5", patterned_documents(9, 70, 59), 59);
  half_run(shop, "run", mix_of(shop.path("data"), shop.path("more")));
  const auto before = shop.metrics("run");
  fs::rename(shop.directory / "data", shop.directory / "a");
  fs::rename(shop.directory / "more", shop.directory / "b");
  const auto again = [&](const std::vector<std::string>& mix) {
    return shop.train("run", with(mix, {"--resume"}));
  };
  check_refused(again(mix_of(shop.path("b"), shop.path("a"))), "the data is not what the run was trained on");
  check_refused(again(mix_of(shop.path("a"), shop.path("b"), 2.0)),
                "only the paths of data.mix may change, not its weights");
  check_refused(again({"data.path=" + shop.path("a")}), "another number of sources");
  const ProgramResult result = again(mix_of(shop.path("a"), shop.path("b")));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(shop.metrics("run") == before);
}

TEST_CASE("a run goes on in smaller micro-batches where its objective allows it") {
  const Workshop shop;
  const std::vector<std::string> f64{"train.dtype=f64"};
  half_run(shop, "run", f64);
  const auto before = shop.metrics("run");
  const ProgramResult result = shop.train("run", {"train.dtype=f64", "train.micro_batch_size=1", "--resume"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto after = shop.metrics("run");
  REQUIRE(after.size() == before.size());
  // These are twenty steps in float64, with sums in another order.
  for (std::size_t i = 20; i < before.size(); ++i)
    CHECK(after[i]["ce"].get<double>() == Approx(before[i]["ce"].get<double>()).epsilon(1e-9));

  for (const std::string key : {"moe.seq_aux=false", "moe.capacity_factor=1.25"}) {
    const std::string run = key.substr(4, 4);
    half_run(shop, run.c_str(), {key});
    check_refused(shop.train(run.c_str(), {key, "train.micro_batch_size=1", "--resume"}),
                  "train.micro_batch_size = 1 now, but 2 when the run was saved: moe." + key.substr(4, 7));
  }
}

TEST_CASE("advice after a refused resume can be followed") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const ProgramResult other = shop.train("run", {"--resume", "model.intermediate_size=32"});
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, !Contains("--fork"));
  for (const int step : {20, 40}) damage(shop.checkpoint("run", step) / "state.json");
  for (const char* const command : {"generate", "eval", "export"}) {
    std::vector<std::string> words{command, shop.path("run")};
    if (std::string(command) == "eval") words.insert(words.end(), {"--data", shop.path("data")});
    if (std::string(command) == "generate") words.insert(words.end(), {"--prompt", "a"});
    if (std::string(command) == "export")
      words.insert(words.end(), {"--format", "hf", "--out", shop.path("hf")});
    const ProgramResult result = run_program(words);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains("every checkpoint of the run is damaged") && !Contains("train it"));
  }
}
