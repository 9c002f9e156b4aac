// What granule says about data that are strange but not an error.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "data/shards/manifest.hpp"
#include "data/shards/shard.hpp"
#include "data/shards/unwritten_tail.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hdf5_file.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/workshop.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;
using Catch::Contains;

namespace {

void list_shard(const fs::path& directory, const char* file, const char* split) {
  const ShardReader shard(directory / file);
  Manifest manifest{59, "", {}};
  if (fs::exists(directory / kManifestFile)) manifest = read_manifest(directory / kManifestFile);
  manifest.shards.push_back({file, split, shard.tokens(), std::ssize(shard.document_offsets()) - 1,
                             sha256_of_file(directory / file)});
  fs::remove(directory / kManifestFile);
  write_manifest(directory / kManifestFile, manifest);
}

}  // namespace

TEST_CASE(
    "data_warnings: shards beside a manifest that does not list them are named by data inspect and by "
    "train") {
  const Workshop shop;
  const fs::path data = shop.directory / "data";
  list_shard(data, "train-00000.h5", "train");
  list_shard(data, "val-00000.h5", "val");
  const ProgramResult listed = run_program({"data", "inspect", data.string()});
  CHECK(listed.exit_code == 0);
  CHECK(nlohmann::json::parse(listed.out)["unlisted"].empty());
  write_shard(data / "train-00001.h5", patterned_documents(3, 20, 59), 59);
  write_shard(data / "more.h5", patterned_documents(3, 20, 59), 59);
  const ProgramResult inspected = run_program({"data", "inspect", data.string()});
  INFO(inspected.err);
  CHECK(inspected.exit_code == 0);
  CHECK(nlohmann::json::parse(inspected.out)["unlisted"] == nlohmann::json{"more.h5", "train-00001.h5"});
  CHECK_THAT(inspected.err, Contains("warning: train-00001.h5 is no shard of the data set"));
  const ProgramResult trained = shop.train("run", {"train.steps=1", "eval.every=0"});
  INFO(trained.err);
  CHECK(trained.exit_code == 0);
  CHECK_THAT(trained.err, Contains("warning: 2 shards of " + data.string() + " are not in its manifest"));
}

TEST_CASE("data_warnings: zeros at the end of a shard, as a writer leaves them that stopped, are said") {
  const Workshop shop;
  fs::create_directory(shop.directory / "other");
  std::vector<std::uint16_t> ids(400, 0);
  for (std::size_t i = 0; i < 300; ++i) ids[i] = static_cast<std::uint16_t>(1 + i % 58);
  Hdf5File(shop.directory / "other/train-0.h5").dataset("data", ids);
  const std::string path = (shop.directory / "other").string();
  const ProgramResult inspected = run_program({"data", "inspect", path});
  CHECK(inspected.exit_code == 0);
  CHECK(nlohmann::json::parse(inspected.out)["shards"][0]["unwritten_tail"] == 100);
  CHECK_THAT(inspected.err, Contains("warning: the last 100 tokens of train-0.h5 are 0"));
  const ProgramResult trained =
      shop.train("run", {"train.steps=1", "eval.every=0", "data.path=" + path, "model.vocab_size=59"});
  INFO(trained.err);
  CHECK(trained.exit_code == 0);
  CHECK_THAT(trained.err, Contains("warning: the last 100 of 400 tokens of"));
  const ProgramResult measured =
      run_program({"eval", (shop.directory / "run").string(), "--data", path, "--split", "train"});
  CHECK(measured.exit_code == 0);
  CHECK_THAT(measured.err, Contains("warning: the last 100 of 400 tokens of"));
  // An EOS of 0 at the end, or Granule's own shards, are nothing odd.
  ids.resize(301);
  Hdf5File(shop.directory / "other/train-0.h5").dataset("data", ids);
  CHECK(unwritten_tail(ShardReader(shop.directory / "other/train-0.h5")) == 0);
  CHECK(unwritten_tail(ShardReader(shop.directory / "data/train-00000.h5")) == 0);
}

TEST_CASE("data_warnings: data inspect reads every token, also if nobody says the vocabulary") {
  const TempDir dir;
  std::vector<std::uint16_t> ids(400);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint16_t>(1000 + i);
  constexpr std::int64_t kFletcher32 = 3;
  Hdf5File(dir / "train-0.h5").dataset("data", ids, {.chunk = 100, .filter = kFletcher32});
  CHECK(run_program({"data", "inspect", dir.path().string()}).exit_code == 0);
  std::string bytes = read_file(dir / "train-0.h5");
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&ids[350]), 20));
  REQUIRE(at != std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  write_file(dir / "train-0.h5", bytes);
  const ProgramResult inspected = run_program({"data", "inspect", dir.path().string()});
  CHECK(inspected.exit_code == 2);
  CHECK_THAT(inspected.err, Contains("train-0.h5") && Contains("/data"));  // HDF5's own words differ
}

TEST_CASE(
    "data_warnings: data inspect looks at what the names of a data set say, and not at files beside them") {
  const TempDir dir;
  write_shard(dir / "train-0.h5", patterned_documents(3, 20, 59), 59);
  fs::copy_file(fs::path(fixtures_dir()) / "shards/bad_rank.h5", dir / "pool.h5");
  const ProgramResult inspected = run_program({"data", "inspect", dir.path().string()});
  INFO(inspected.err);
  CHECK(inspected.exit_code == 0);
  CHECK(nlohmann::json::parse(inspected.out)["unlisted"] == nlohmann::json{"pool.h5"});
  fs::rename(dir / "train-0.h5", dir / "one.h5");
  fs::remove(dir / "pool.h5");
  CHECK(nlohmann::json::parse(run_program({"data", "inspect", dir.path().string()}).out)["shards"].size() ==
        1);
}

TEST_CASE(
    "data_warnings: a data set of fewer samples than a step takes is warned of, with how often each is "
    "repeated") {
  const Workshop shop(std::vector<std::int32_t>(17, 3));  // one sample of 16 tokens, and a batch of 4
  const ProgramResult trained = shop.train("run", {"train.steps=1", "eval.every=0"});
  INFO(trained.err);
  CHECK(trained.exit_code == 0);
  CHECK_THAT(trained.err,
             Contains("has 1 sample of 16 tokens, and a step takes 4: each is repeated 4 times"));
  CHECK_THAT(shop.train("large", {"--dry-run", "train.batch_size=20000"}).err,
             Contains("a step takes 20000:"));
  const Workshop enough;
  CHECK_THAT(enough.train("run", {"train.steps=1", "eval.every=0"}).err, !Contains("is repeated"));
}
