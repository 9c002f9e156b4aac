// Runs that an older version began. Their checkpoints name no order, and every epoch is shuffled as that
// version did it. Such a run continues so to its end, bit for bit.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/sampling/sampler.hpp"
#include "distributed/checkpoints/checkpoint_manifest.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::int64_t kSamples = 23, kSeq = 16, kSeen = 40 * 4;  // the run passes six ends of epochs

/// Samples that may be in any order. Each begins with the word 0, and the one before ends with it.
std::vector<std::int32_t> document_of(const std::vector<std::int64_t>& order) {
  std::vector<std::int32_t> words;
  for (const std::int64_t sample : order) {
    words.push_back(0);
    for (std::int64_t i = 1; i < kSeq; ++i)
      words.push_back(static_cast<std::int32_t>(1 + (sample * 7 + i * i * (3 + sample % 5)) % 58));
  }
  words.push_back(0);
  return words;
}

std::vector<std::int64_t> in_sequence() {
  std::vector<std::int64_t> order(kSamples);
  for (std::int64_t i = 0; i < kSamples; ++i) order[static_cast<std::size_t>(i)] = i;
  return order;
}

/// The samples that a run with the old order sees, one after the other.
std::vector<std::int64_t> as_shuffled_before() {
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < kSeen; ++i)
    order.push_back(epoch_permutation(kSamples, 0, 0, i / kSamples)[static_cast<std::size_t>(i % kSamples)]);
  return order;
}

/// All values except `epoch`, which depends on the number of samples in a data set.
std::vector<json> rows_of(const Workshop& shop, const char* run) {
  std::vector<json> rows = shop.metrics(run);
  for (json& row : rows) row.erase("epoch");
  return rows;
}

/// Changes step 20 of a copied run into what an older version would have saved with the data here.
void make_old(const Workshop& shop, const fs::path& run) {
  REQUIRE(shop.train("began", {"train.steps=20", "schedule.kind=constant"}).exit_code == 0);
  const json here = load_manifest(shop.checkpoint("began", 20)).sections;
  const fs::path place = run / "checkpoints/step-00000020";
  CheckpointManifest old = load_manifest(place);
  old.sections["config"]["data"] = here["config"]["data"];
  old.sections["data"] = here["data"];
  for (const char* const section : {"sample_order", "provenance", "means", "documents"})
    old.sections.erase(section);
  fs::remove(run / "run.json");
  write_text(place / kManifestName, manifest_text(old));
}

}  // namespace

TEST_CASE("a run that began with the old order goes on in it, the same bits as a run of that order") {
  // There the data have in sequence what an uninterrupted run with the old order reads.
  const Workshop straight(document_of(as_shuffled_before())), shop(document_of(in_sequence()));
  REQUIRE(straight.train("run", {"data.shuffle=false"}).exit_code == 0);
  fs::copy(straight.directory / "run", shop.directory / "run", fs::copy_options::recursive);
  fs::remove_all(shop.checkpoint("run", 40));
  make_old(shop, shop.directory / "run");
  fs::copy(shop.directory / "run", shop.directory / "named", fs::copy_options::recursive);

  const ProgramResult resumed = shop.train("run", {"--resume", "checkpoint.every=10"});
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  const std::string wanted = straight.tensors("run", 40);
  CHECK((shop.tensors("run", 40) == wanted));
  CHECK(rows_of(shop, "run") == rows_of(straight, "run"));
  CHECK((text_of(shop.directory / "run/router.bin") == text_of(straight.directory / "run/router.bin")));
  const json where =
      json::parse(run_program({"data", "where", shop.path("run"), "--step", "30"}).out)["samples"];
  for (std::size_t row = 0; row < 4; ++row) CHECK(where[row]["sample"] == as_shuffled_before()[29 * 4 + row]);

  // Its own checkpoints name the order, and it can be resumed and forked.
  CHECK(load_manifest(shop.checkpoint("run", 30)).sections["sample_order"] == "fisher-yates");
  const ProgramResult forked = run_program(
      {"train", "--fork", shop.path("run") + ":20", "--out", shop.path("fork"), "checkpoint.every=20"});
  INFO(forked.err);
  REQUIRE(forked.exit_code == 0);
  CHECK((shop.tensors("fork", 40) == wanted));
  fs::remove_all(shop.checkpoint("run", 40));
  REQUIRE(run_program({"train", "--resume", shop.path("run")}).exit_code == 0);
  CHECK((shop.tensors("run", 40) == wanted));

  // With the name of today's order, the same checkpoint continues differently.
  CheckpointManifest named = load_manifest(shop.checkpoint("named", 20));
  named.sections["sample_order"] = "feistel-1";
  write_text(shop.checkpoint("named", 20) / kManifestName, manifest_text(named));
  REQUIRE(shop.train("named", {"--resume"}).exit_code == 0);
  CHECK((shop.tensors("named", 40) != wanted));
}
