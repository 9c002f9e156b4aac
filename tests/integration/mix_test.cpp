// granule train on several sources at once.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
namespace fs = std::filesystem;

namespace {

/// A workshop whose config has no data.path, with a second data set in its directory.
struct MixShop : Workshop {
  std::string both, one;

  MixShop() {
    replace_in(directory / "run.toml", "path = \"data\"\n", "");
    write_set("more", 5, 200);
    both = fmt::format("data.mix=[{{path=\"{}\",weight=3}},{{path=\"{}\",weight=1}}]", path("data"),
                       path("more"));
    one = fmt::format("data.mix=[{{path=\"{}\",weight=7}}]", path("data"));
  }
  void write_set(const char* name, std::int64_t documents, std::int64_t length) const {
    fs::create_directories(directory / name);
    write_shard(directory / name / "train-00000.h5", patterned_documents(documents, length, kVocabulary),
                kVocabulary);
    write_shard(directory / name / "val-00000.h5", patterned_documents(1, length, kVocabulary), kVocabulary);
  }
  [[nodiscard]] ProgramResult must_train(const char* out, std::vector<std::string> more) const {
    ProgramResult result = train(out, std::move(more));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result;
  }
};

}  // namespace

TEST_CASE("a mix of one source trains as that source alone, bit for bit") {
  const MixShop shop;
  static_cast<void>(shop.must_train("alone", {"data.path=" + shop.path("data")}));
  static_cast<void>(shop.must_train("mixed", {shop.one}));
  CHECK(shop.tensors("mixed", 40) == shop.tensors("alone", 40));
  CHECK(shop.metrics("mixed") == shop.metrics("alone"));
}

TEST_CASE("a mix trains the same on any number of threads and across a restart") {
  const MixShop shop;
  static_cast<void>(shop.must_train("straight", {shop.both, "train.threads=1"}));
  static_cast<void>(shop.must_train("threads", {shop.both, "train.threads=3"}));
  CHECK(shop.tensors("threads", 40) == shop.tensors("straight", 40));
  fs::copy(shop.directory / "straight", shop.directory / "halves", fs::copy_options::recursive);
  fs::remove_all(shop.checkpoint("halves", 40));
  static_cast<void>(shop.must_train("halves", {shop.both, "--resume"}));
  CHECK(shop.tensors("halves", 40) == shop.tensors("straight", 40));
  CHECK(shop.metrics("halves") == shop.metrics("straight"));
  // There are 67 + 62 samples. 40 steps of 4 samples read 160.
  CHECK(shop.metrics("straight").back()["epoch"].get<double>() == Approx(160.0 / (67 + 62)));
  static_cast<void>(shop.must_train("alone", {"data.path=" + shop.path("data")}));
  CHECK(shop.tensors("alone", 40) != shop.tensors("straight", 40));
}

TEST_CASE("a run of a mix goes on with the same sources only: none changed, left out or weighed otherwise") {
  const MixShop shop;
  static_cast<void>(shop.must_train("run", {shop.both}));
  const auto refused = [&](const std::string& mix, const std::string& message) {
    const ProgramResult result = shop.train("run", {mix, "--resume"});
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(message) != std::string::npos);
  };
  refused(shop.one, "another number of sources: 1 now, 2 then");
  std::string heavier = shop.both;
  refused(heavier.replace(heavier.find("weight=3"), 8, "weight=4"), "data.mix = ");
  fs::remove_all(shop.directory / "more");
  shop.write_set("more", 4, 250);  // equally many tokens, but others
  refused(shop.both, fmt::format("trained on: {{\"sha256\":"));
  refused(shop.both, shop.path("more"));
}

TEST_CASE("sources that do not fit together are refused before anything is made") {
  const MixShop shop;
  const auto refused = [&](const std::vector<std::string>& overrides, const std::string& message) {
    const ProgramResult result = shop.train("fresh", overrides);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(message) != std::string::npos);
    CHECK(!fs::exists(shop.directory / "fresh"));
  };
  fs::remove(shop.directory / "more/val-00000.h5");
  refused({shop.both}, "no shards of the val split (" + shop.path("more"));
  fs::remove(shop.directory / "more/train-00000.h5");
  write_shard(shop.directory / "more/train-00000.h5", patterned_documents(2, 90, 60), 60);
  refused({shop.both, "eval.every=0"},
          "vocab_size is 60, the rest of the data says 59 (" + shop.path("more"));
  fs::remove(shop.directory / "more/train-00000.h5");
  write_shard(shop.directory / "more/train-00000.h5", patterned_documents(1, 9, 59), 59);
  refused({shop.both, "eval.every=0"}, "(" + shop.path("more") + "): use more text");
  refused({}, "no data (data.path)");
}
