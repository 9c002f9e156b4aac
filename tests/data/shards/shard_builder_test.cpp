#ifdef GRANULE_WITH_SENTENCEPIECE
#include "data/shards/shard_builder.hpp"

#include <cmath>
#include <csignal>
#include <fstream>

#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/files/output_directory.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "data/shards/manifest.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::fixtures_dir;
using test::prose;
using test::TempDir;
using test::user_error_of;

void put(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string jsonl(int documents) {
  std::string text;
  for (int d = 0; d < documents; ++d) {
    std::string one = prose(100 + static_cast<unsigned>(d), 5);
    for (std::size_t at = 0; (at = one.find('\n', at)) != std::string::npos; at += 2)
      one.replace(at, 1, "\\n");
    text += "{\"text\": \"" + one + "\"}\n";
  }
  return text;
}

DataSetReport build(const fs::path& input, const DataSetOptions& options,
                    const std::function<void(const DataSetReport&)>& progress = {}) {
  TextSource text({input}, DocumentUnit::file);
  return build_shards(text, *open_tokenizer(test::small_tokenizer()), options, progress);
}

// All documents of a split as text.
std::vector<std::string> documents_of(const fs::path& set, Split split) {
  const auto tokenizer = open_tokenizer(set / "tokenizer.model");
  const TokenSource source(set, split);
  source.require_vocabulary(tokenizer->vocab_size(), tokenizer->sha256());
  std::vector<std::string> documents;
  for (const ShardReader& shard : source.shards()) {
    const auto offsets = shard.document_offsets();
    for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
      std::vector<std::int32_t> ids(static_cast<std::size_t>(offsets[d + 1] - offsets[d]));
      shard.read(offsets[d], ids);
      CHECK(ids.back() == tokenizer->eos_id());
      ids.pop_back();
      documents.push_back(tokenizer->decode(ids));
      CHECK(static_cast<std::int64_t>(documents.back().size()) == shard.document_bytes()[d]);
    }
  }
  return documents;
}

TEST_CASE(
    "shard_builder: a data set holds every document once, with an EOS, in shards that end with a document") {
  const TempDir dir;
  put(dir / "in.jsonl", jsonl(60));
  const auto layout = GENERATE(Hdf5Layout::contiguous, Hdf5Layout::compressed);
  const auto report = build(dir / "in.jsonl", {dir / "set", 0.2, 500, layout});
  const TokenSource train(dir / "set", Split::train), val(dir / "set", Split::val);
  CHECK(report.train.tokens == train.summary().tokens);
  CHECK(report.train.utf8_bytes == train.summary().utf8_bytes);
  CHECK(report.val.documents == val.summary().documents);
  CHECK(report.train.shards == std::ssize(train.shards()));
  CHECK(report.train.shards > 3);
  for (std::size_t s = 0; s + 1 < train.shards().size(); ++s) CHECK(train.shards()[s].tokens() >= 500);
  CHECK(train.summary().tokenizer_sha256 == sha256_of_file(test::small_tokenizer()));
  CHECK(train.summary().vocab_size == 350);

  auto trained = documents_of(dir / "set", Split::train), held = documents_of(dir / "set", Split::val);
  REQUIRE(trained.size() + held.size() == 60);
  for (int d = 0; d < 60; ++d) {
    auto& split = is_validation_document(d, 0.2) ? held : trained;
    CHECK(split.front() == prose(100 + static_cast<unsigned>(d), 5));
    split.erase(split.begin());
  }
  CHECK(read_manifest(dir / "set" / kManifestFile).shards.size() ==
        static_cast<std::size_t>(report.train.shards + report.val.shards));
}

TEST_CASE(
    "shard_builder: documents are held back in the asked share, evenly spread, whatever comes after them") {
  for (const double fraction : {0.001, 0.05, 0.1, 0.3, 0.5, 0.9, 0.999}) {
    CAPTURE(fraction);
    std::vector<std::int64_t> held_before{0};
    for (std::int64_t i = 0; i < 10'000; ++i) {
      const bool held = is_validation_document(i, fraction);
      held_before.push_back(held_before.back() + (held ? 1 : 0));
      if (held) CHECK(is_validation_document(i, fraction + 0.001));
      CHECK_FALSE(is_validation_document(i, 0));
    }
    for (const std::size_t documents : {1U, 10U, 20U, 50U, 100U, 1000U}) {
      double worst = 0;
      for (std::size_t first = 0; first + documents < held_before.size(); ++first) {
        const auto held = static_cast<double>(held_before[first + documents] - held_before[first]);
        worst = std::max(worst, std::abs(held - fraction * static_cast<double>(documents)));
      }
      CAPTURE(documents);
      CHECK(worst < 2.5);  // "a few" in words; a random choice would be wrong by 15 at 1000
    }
  }
}

TEST_CASE("shard_builder: of ten documents one tenth is one document, whole") {
  const TempDir dir;
  put(dir / "in.jsonl", jsonl(10));
  const auto report = build(dir / "in.jsonl", {dir / "set", 0.1});
  CHECK(report.train.documents == 9);
  CHECK(report.val.documents == 1);
  // It is the fifth document: 5 * 0.618... modulo 1 is 0.090, the first value below 0.1.
  CHECK(documents_of(dir / "set", Split::val) == std::vector{prose(104, 5)});
}

TEST_CASE("shard_builder: the tail of a single document is held back, cut at a line end") {
  const TempDir dir;
  put(dir / "book.txt", prose(7, 300));
  const auto report = build(dir / "book.txt", {dir / "set", 0.1});
  CHECK(report.train.documents == 1);
  CHECK(report.val.documents == 1);
  const std::string train = documents_of(dir / "set", Split::train).at(0);
  const std::string val = documents_of(dir / "set", Split::val).at(0);
  CHECK(train + val == prose(7, 300));
  CHECK(train.back() == '\n');
  const double share = static_cast<double>(val.size()) / static_cast<double>(train.size() + val.size());
  CHECK(share == Approx(0.1).margin(0.01));
}

TEST_CASE("shard_builder: of documents too few for the fraction the last is held back, whole") {
  for (const int documents : {2, 3, 20}) {
    const TempDir dir;
    put(dir / "in.jsonl", jsonl(documents));
    build(dir / "in.jsonl", {dir / "set", 0.01});
    const auto last = 100 + static_cast<unsigned>(documents) - 1;
    CHECK(documents_of(dir / "set", Split::val) == std::vector{prose(last, 5)});
    CHECK(documents_of(dir / "set", Split::train).size() == static_cast<std::size_t>(documents) - 1);
  }
}

TEST_CASE("shard_builder: no document is lost when all but the last would be held back") {
  const TempDir dir;
  put(dir / "in.jsonl", jsonl(3));
  const auto report = build(dir / "in.jsonl", {dir / "set", 0.999999});
  CHECK(report.train.documents + report.val.documents == 3);
  CHECK(report.train.documents == 1);
  put(dir / "book.txt", prose(1, 20));
  CHECK(build(dir / "book.txt", {dir / "one", 0.9}).train.documents == 1);
}

TEST_CASE("shard_builder: nothing is held back unless asked, and then no shard of it is written") {
  const TempDir dir;
  put(dir / "book.txt", prose(7, 30));
  const auto report = build(dir / "book.txt", {dir / "set"});
  CHECK(report.val.documents == 0);
  CHECK(documents_of(dir / "set", Split::train) == std::vector{prose(7, 30)});
  CHECK_THAT(user_error_of([&] { TokenSource(dir / "set", Split::val); }),
             Catch::Contains("no shards of the val split"));
}

TEST_CASE("shard_builder: a tail is cut behind a line end, else before a space, else between characters") {
  CHECK(tail_cut("one\ntwo\nthree\n", 3) == 8);
  CHECK(tail_cut("one\ntwo\nthree\n", 6) == 8);
  CHECK(tail_cut("one\ntwo\nthree\n", 7) == 4);
  CHECK(tail_cut("one two three", 2) == 7);
  CHECK(tail_cut("\u9be8\u9c78\u9be8", 2) == 6);
  CHECK(tail_cut("\u9be8", 1) == 0);
  CHECK(tail_cut("ab", 0) == 1);
}

TEST_CASE(
    "shard_builder: an existing directory with anything in it is refused and left alone, an empty one is "
    "filled") {
  const TempDir dir;
  put(dir / "book.txt", prose(7, 30));
  fs::create_directory(dir / "full");
  put(dir / "full/precious", "x");
  CHECK_THAT(user_error_of([&] { build(dir / "book.txt", {dir / "full"}); }),
             Catch::Contains("the directory is not empty"));
  CHECK_THAT(user_error_of([&] { build(dir / "book.txt", {dir / "book.txt"}); }),
             Catch::Contains("not a directory"));
  CHECK(std::distance(fs::directory_iterator(dir / "full"), {}) == 1);
  fs::create_directory(dir / "empty");
  CHECK_NOTHROW(build(dir / "book.txt", {dir / "empty/"}));
  CHECK(fs::exists(dir / "empty" / kManifestFile));
  CHECK_NOTHROW(build(dir / "book.txt", {dir / "new" / "deep" / "set"}));
  CHECK(fs::exists(dir / "new/deep/set" / kManifestFile));
}

TEST_CASE("shard_builder: a failing build leaves neither the directory nor its work") {
  const TempDir dir;
  put(dir / "in.jsonl", jsonl(3) + "{\"text\": 1}\n");
  CHECK_THAT(user_error_of([&] {
               build(dir / "in.jsonl", {dir / "set", 0, 10});
             }),
             Catch::Contains("in.jsonl:4)"));
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("shard_builder: a build killed at any document never looks complete, and the next one clears up") {
  const TempDir dir;
  put(dir / "in.jsonl", jsonl(5));
  for (int survive = 0; survive < 4; ++survive) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int seen = 0;
      build(dir / "in.jsonl", {dir / "set", 0, 10}, [&](const DataSetReport&) {
        if (seen++ == survive) std::raise(SIGKILL);
      });
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    CHECK_FALSE(fs::exists(dir / "set"));
    CHECK(fs::exists(dir / "set.partial"));
  }
  build(dir / "in.jsonl", {dir / "set", 0, 10});
  CHECK(documents_of(dir / "set", Split::train).size() == 5);
  CHECK_FALSE(fs::exists(dir / "set.partial"));
  CHECK_FALSE(fs::exists(dir / "set" / ".granule-partial"));
}

TEST_CASE(
    "shard_builder: two jobs cannot write one output, and a directory that is not ours is not cleared") {
  const TempDir dir;
  {
    const OutputDirectory first(dir / "set");
    try {
      const OutputDirectory second(dir / "set");
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::in_use);
    }
    CHECK(fs::exists(first.partial()));
  }
  CHECK(fs::is_empty(dir.path()));
  fs::create_directory(dir / "set.partial");
  put(dir / "set.partial/precious", "x");
  CHECK_THAT(user_error_of([&] { OutputDirectory(dir / "set"); }),
             Catch::Contains("in the way and not ours"));
  CHECK(fs::exists(dir / "set.partial/precious"));
}

TEST_CASE("shard_builder: text, shares and sizes that make no data set are refused") {
  const TempDir dir;
  put(dir / "empty.txt", "");
  put(dir / "one.txt", "x");
  put(dir / "book.txt", prose(7, 30));
  CHECK_THAT(user_error_of([&] { build(dir / "empty.txt", {dir / "set"}); }),
             Catch::Contains("there is no text"));
  CHECK_THAT(user_error_of([&] {
               build(dir / "one.txt", {dir / "set", 0.5});
             }),
             Catch::Contains("too little text to hold any back"));
  for (const double fraction : {-0.1, 1.0, std::nan("")}) {
    CHECK_THAT(user_error_of([&] {
                 build(dir / "book.txt", {dir / "set", fraction});
               }),
               Catch::Contains("--val-fraction"));
  }
  CHECK_THAT(user_error_of([&] {
               build(dir / "book.txt", {dir / "set", 0, 0});
             }),
             Catch::Contains("--shard-tokens"));
  CHECK_FALSE(fs::exists(dir / "set"));
}

TEST_CASE(
    "shard_builder: documents begin with a BOS where it is asked for, each part of one that is cut too") {
  const TempDir dir;
  put(dir / "book.txt", prose(7, 30));
  const auto tokenizer = open_tokenizer(test::small_tokenizer());
  TextSource text({dir / "book.txt"}, DocumentUnit::file);
  build_shards(text, *tokenizer, {dir / "set", 0.2}, {}, AddBos::yes);
  for (const Split split : {Split::train, Split::val}) {
    const TokenSource source(dir / "set", split);
    CHECK(source.bos_of_documents() == 1);
    std::int32_t first = 0;
    source.read(0, std::span(&first, 1));
    CHECK(first == tokenizer->bos_id());
  }
  build(dir / "book.txt", {dir / "plain"});
  CHECK_FALSE(TokenSource(dir / "plain", Split::train).bos_of_documents().has_value());
}

TEST_CASE("shard_builder: a text on which a pattern gives up is named") {
  const TempDir dir;
  auto json = nlohmann::json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers/base.json"));
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(?:a+)+(?:b|c)";
  write_file(dir / "t.json", json.dump());
  put(dir / "in.jsonl", "{\"text\": \"fine\"}\n{\"text\": \"abc\\nab" + std::string(58, 'a') + "\"}\n");
  TextSource text({dir / "in.jsonl"}, DocumentUnit::file);
  const auto tokenizer = open_tokenizer(dir / "t.json");
  CHECK_THAT(user_error_of([&] { build_shards(text, *tokenizer, {dir / "set"}); }),
             Catch::Contains("gave up from line 2 of the document, on 64 bytes of text") &&
                 Catch::Contains("in.jsonl:2)"));
}

/// A tokenizer that only knows the letters a to y.
class LettersAlone final : public Tokenizer {
 public:
  LettersAlone() : Tokenizer(test::small_tokenizer()) {}
  std::vector<std::int32_t> encode(std::string_view text) override {
    std::vector<std::int32_t> ids;
    for (const char c : text) ids.push_back(c >= 'a' && c < 'z' ? c - 'a' + 3 : 0);
    return ids;
  }
  [[nodiscard]] std::string token_bytes(std::int32_t) const override { return {}; }
  [[nodiscard]] std::string token_name(std::int32_t) const override { return {}; }
  [[nodiscard]] std::string_view standard_name() const override { return kSentencePieceFile; }
  [[nodiscard]] bool adds_leading_space() const override { return false; }
  [[nodiscard]] std::int64_t vocab_size() const override { return 32; }
  [[nodiscard]] std::optional<std::int32_t> bos_id() const override { return std::nullopt; }
  [[nodiscard]] std::optional<std::int32_t> eos_id() const override { return eos; }
  [[nodiscard]] std::optional<std::int32_t> unknown_id() const override { return 0; }
  [[nodiscard]] VocabularyListing listing() const override { return {}; }
  std::optional<std::int32_t> eos = 2;
};

TEST_CASE(
    "shard_builder: text that the tokenizer has no token for is counted, and a missing BOS or EOS is "
    "refused") {
  const TempDir dir;
  put(dir / "in.txt", "a zebra is no zoo");
  LettersAlone tokenizer;
  TextSource text({dir / "in.txt"}, DocumentUnit::file);
  CHECK(build_shards(text, tokenizer, {dir / "set"}).unknown_tokens == 4 + 2);  // spaces and z
  const auto error = [&](AddBos bos) {
    TextSource again({dir / "in.txt"}, DocumentUnit::file);
    return user_error_of([&] { build_shards(again, tokenizer, {dir / "other"}, {}, bos); });
  };
  CHECK_THAT(error(AddBos::yes), Catch::Contains("has no BOS") && Catch::Contains("leave out --bos"));
  tokenizer.eos.reset();
  CHECK_THAT(error(AddBos::no), Catch::Contains("has no EOS") &&
                                    Catch::Contains("train the model with one") &&
                                    !Catch::Contains("--eos TOKEN"));
}

}  // namespace
}  // namespace granule
#endif
