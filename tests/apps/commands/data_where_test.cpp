// Compares granule data where with what the loader reads.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/inputs/run_data.hpp"
#include "data/sampling/loader.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

ProgramResult run_where(const std::string& run, int step) {
  return run_program({"data", "where", run, "--step", std::to_string(step)});
}

nlohmann::json where(const std::string& run, int step) {
  const ProgramResult result = run_where(run, step);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return nlohmann::json::parse(result.out);
}

/// The tokens of a sample, joined from its pieces.
std::vector<std::int32_t> tokens_of(const nlohmann::json& sample) {
  std::vector<std::int32_t> tokens;
  for (const auto& piece : sample["documents"]) {
    const ShardReader shard(fs::path(sample["source"].get<std::string>()) /
                            piece["shard"].get<std::string>());
    const auto begin = piece["tokens"][0].get<std::int64_t>(), end = piece["tokens"][1].get<std::int64_t>();
    std::vector<std::int32_t> part(static_cast<std::size_t>(end - begin));
    shard.read(begin, part);
    tokens.insert(tokens.end(), part.begin(), part.end());
    if (piece["document"].is_null()) continue;
    const auto offsets = shard.document_offsets();
    const auto document = piece["document"].get<std::size_t>();
    CHECK(piece["document_tokens"] == nlohmann::json{offsets[document], offsets[document + 1]});
    CHECK((offsets[document] <= begin && end <= offsets[document + 1]));
    CHECK(piece["document_bytes"] == 3 * (offsets[document + 1] - offsets[document]));
  }
  return tokens;
}

void check_against_loader(const Workshop& shop, const std::vector<DataMix::Part>& parts, int steps) {
  const DataMix mix(parts, Split::train);
  Loader loader(mix, mix.sampler(16, SampleOrder::keyed, 0),
                {.seq_len = 16, .batch_size = 4, .micro_batch_size = 4});
  for (int step = 1; step <= steps; ++step) {
    const Batch batch = loader.next();
    const auto report = where(shop.path("run"), step);
    CHECK(report["step"] == step);
    REQUIRE(report["samples"].size() == 4);
    for (std::size_t row = 0; row < 4; ++row) {
      const auto& sample = report["samples"][row];
      CHECK(sample["position"] == static_cast<std::size_t>(step - 1) * 4 + row);
      CHECK(sample["sample"] == batch.samples[row].sample);
      const auto tokens = tokens_of(sample);
      REQUIRE(tokens.size() == 17);
      CHECK(std::equal(tokens.begin(), tokens.end() - 1, batch.inputs.begin() + static_cast<long>(row) * 16));
      CHECK(
          std::equal(tokens.begin() + 1, tokens.end(), batch.targets.begin() + static_cast<long>(row) * 16));
    }
  }
}

}  // namespace

TEST_CASE("data where names exactly the tokens that a step read, document by document") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  check_against_loader(shop, {{shop.path("data")}}, 12);
  // An epoch has 67 samples. Positions 64 to 67 are the end of the first epoch and the beginning of the
  // second.
  const auto report = where(shop.path("run"), 17);
  CHECK(report["samples"][2]["epoch"] == 0);
  CHECK(report["samples"][3]["epoch"] == 1);
}

TEST_CASE("data where knows the sources of a mix, and shards that do not tell their documents") {
  const Workshop shop;
  fs::create_directory(shop.directory / "more");
  fs::copy(fs::path(fixtures_dir()) / "shards" / "u16.h5", shop.directory / "more/train-a.h5");
  write_shard(shop.directory / "more/train-b.h5", patterned_documents(9, 7, 59), 59);
  replace_in(shop.path("run.toml"), "path = \"data\"",
             "mix = [{path = \"data\", weight = 2}, {path = \"more\", weight = 1}]");
  REQUIRE(shop.train("run", {"model.vocab_size=59", "eval.every=0"}).exit_code == 0);
  check_against_loader(shop, {{shop.path("data"), 2.0}, {shop.path("more"), 1.0}}, 8);
}

TEST_CASE("data where finds data that stand elsewhere now, if they are the same") {
  const Workshop shop;
  fs::copy(shop.directory / "data", shop.directory / "more", fs::copy_options::recursive);
  fs::remove(shop.directory / "more/train-00000.h5");
  write_shard(shop.directory / "more/train-00000.h5", patterned_documents(9, 70, 59), 59);
  REQUIRE(shop.train("run").exit_code == 0);
  REQUIRE(shop.train("mixed", {"data.path=\"\"", "data.mix=[{path = \"" + shop.path("data") +
                                                     "\", weight = 2}, {path = \"" + shop.path("more") +
                                                     "\", weight = 1}]"})
              .exit_code == 0);
  const auto found = [&](const char* run, std::vector<std::string> data) {
    std::vector<std::string> arguments{"data", "where"};
    for (const std::string& directory : data) arguments.insert(arguments.end(), {"--data", directory});
    arguments.insert(arguments.end(), {shop.path(run), "--step", "7"});
    return run_program(arguments);
  };
  const auto before = nlohmann::json::parse(found("run", {}).out);
  const auto mixed = nlohmann::json::parse(found("mixed", {}).out);
  fs::rename(shop.directory / "data", shop.directory / "moved");
  CHECK(found("run", {}).exit_code == 2);
  const auto same = [](const nlohmann::json& a, const nlohmann::json& b) {
    REQUIRE(a["samples"].size() == b["samples"].size());
    for (std::size_t i = 0; i < a["samples"].size(); ++i)
      CHECK(a["samples"][i]["documents"] == b["samples"][i]["documents"]);
  };
  same(nlohmann::json::parse(found("run", {shop.path("moved")}).out), before);
  same(nlohmann::json::parse(found("mixed", {shop.path("moved"), shop.path("more")}).out), mixed);
  const auto refused = [&](const char* run, std::vector<std::string> data, const std::string& message) {
    const ProgramResult result = found(run, std::move(data));
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(message) != std::string::npos);
  };
  refused("run", {shop.path("more")}, "the data is not what the run was trained on");
  refused("mixed", {shop.path("more"), shop.path("moved")}, "the data is not what the run was trained on");
  refused("mixed", {shop.path("moved")}, "the run has 2 sources of data, and 1 is given (--data)");
  refused("run", {shop.path("moved"), shop.path("more")}, "the run has 1 source of data, and 2 are given");
}

TEST_CASE("data where refuses steps that are not there, changed data and what is no run") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const auto refused = [&](const std::string& run, int step, const std::string& message) {
    const ProgramResult result = run_where(run, step);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(result.err.find(message) != std::string::npos);
  };
  const std::string run = shop.path("run");
  refused(run, 41, "there is no step 41 (" + run + "): the run has steps 1 to 40");
  refused(run, 0, "there is no step 0");
  refused(run, -1, "there is no step -1");
  refused(shop.path("data"), 1, "this is no run directory");
  refused(shop.path("nowhere"), 1, "this is no run directory");
  // Future steps are defined, too.
  CHECK(where(run, 40)["samples"].size() == 4);

  const std::string config = text_of(run + "/config.toml");
  replace_in(run + "/config.toml", "seed = 0", "seed = 1");
  refused(run, 1, "data.seed = 1 now, but 0 when the run was saved");
  write_text(run + "/config.toml", config);

  fs::remove(shop.directory / "data/train-00000.h5");
  // It has the same number of tokens.
  write_shard(shop.directory / "data/train-00000.h5", patterned_documents(9, 120, 59), 59);
  refused(run, 1, "the data is not what the run was trained on");
  fs::remove_all(shop.directory / "run/checkpoints");
  const ProgramResult unchecked = run_where(run, 1);
  CHECK(unchecked.exit_code == 0);
  CHECK(unchecked.err.find("has no checkpoint") != std::string::npos);
  fs::remove_all(shop.directory / "data");
  refused(run, 1, "no such directory");
}

TEST_CASE(
    "data_where: a run keeps the order that its checkpoint names; one without a name shuffles as older "
    "versions did") {
  RunConfig config;
  config.data.shuffle = true;
  CHECK(sample_order_of(config) == SampleOrder::keyed);
  CHECK(sample_order_of(nlohmann::json::object(), config, "RUN") == SampleOrder::shuffled);
  CHECK(sample_order_of({{"sample_order", "feistel-1"}}, config, "RUN") == SampleOrder::keyed);
  CHECK(sample_order_of({{"sample_order", "fisher-yates"}}, config, "RUN") == SampleOrder::shuffled);
  CHECK_THROWS_WITH(sample_order_of({{"sample_order", "feistel-2"}}, config, "RUN"),
                    Catch::Contains("feistel-2"));
  config.data.shuffle = false;
  CHECK(sample_order_of(nlohmann::json::object(), config, "RUN") == SampleOrder::sequential);
}
