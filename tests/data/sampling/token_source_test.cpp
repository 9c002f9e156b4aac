#include "data/sampling/token_source.hpp"

#include <fstream>
#include <functional>

#include <sys/resource.h>
#include <sys/stat.h>

#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/shards/manifest.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::fixtures_dir;
using test::patterned_documents;
using test::TempDir;
using test::user_error_of;
using test::write_shard;

// Writes two shards of training text (60 + 40 tokens), one of validation text (20), and their manifest.
void write_data_set(const fs::path& dir) {
  write_shard(dir / "train-00000.h5", patterned_documents(3, 20, 50), 50);
  write_shard(dir / "train-00001.h5", patterned_documents(1, 40, 50), 50);
  write_shard(dir / "val-00000.h5", patterned_documents(1, 20, 50), 50);
  const auto listed = [&](const char* file, const char* split, std::int64_t tokens, std::int64_t docs) {
    return ManifestShard{file, split, tokens, docs, sha256_of_file(dir / file)};
  };
  write_manifest(dir / "manifest.json",
                 {50,
                  "",
                  {listed("train-00000.h5", "train", 60, 3), listed("train-00001.h5", "train", 40, 1),
                   listed("val-00000.h5", "val", 20, 1)}});
}

void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = read_file(file);
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  fs::remove(file);
  write_file(file, text);
}

TEST_CASE("token_source: a split is its shards in name order, one row of tokens cut into samples") {
  const TempDir dir;
  write_data_set(dir.path());
  if (GENERATE(true, false)) fs::remove(dir / "manifest.json");
  const TokenSource source(dir.path(), Split::train);
  CHECK(source.summary().tokens == 100);
  CHECK(source.summary().documents == 4);
  CHECK(source.summary().utf8_bytes == 300);
  CHECK(source.summary().vocab_size == 50);
  CHECK(source.summary().eos_id == 2);
  CHECK(source.samples(9) == 11);
  CHECK(source.samples(10) == 9);  // ⌊99 / 10⌋, because the last sample needs its 11th token
  CHECK(source.samples(99) == 1);

  std::vector<std::int32_t> expected;
  for (const auto& shard : {patterned_documents(3, 20, 50), patterned_documents(1, 40, 50)}) {
    for (const auto& document : shard) expected.insert(expected.end(), document.begin(), document.end());
  }
  std::vector<std::int32_t> sample(12);
  source.read_sample(5, 11, sample);  // tokens [55, 67), in two shards
  CHECK(sample == std::vector(expected.begin() + 55, expected.begin() + 67));
  std::vector<std::int32_t> all(100);
  source.read(0, all);
  CHECK(all == expected);
  CHECK(TokenSource(dir.path(), Split::val).summary().tokens == 20);
}

TEST_CASE("token_source: the first keys of a sample say where in it the document of each token begins") {
  const TempDir dir;
  // Documents begin at tokens 0, 20 and 40, and at 60, where the second shard begins.
  write_data_set(dir.path());
  const TokenSource source(dir.path(), Split::train);
  const auto first_keys = [&](std::int64_t sample, std::int64_t seq_len) {
    std::vector<std::int32_t> keys(static_cast<std::size_t>(seq_len), -1);
    source.read_first_keys(sample, seq_len, keys);
    return keys;
  };
  // Tokens [54, 72). Six are from a document that began before, and the others from a document in the next
  // shard.
  std::vector<std::int32_t> expected(18, 6);
  std::fill(expected.begin(), expected.begin() + 6, 0);
  CHECK(first_keys(3, 18) == expected);
  CHECK(first_keys(1, 20) == std::vector<std::int32_t>(20, 0));  // exactly one document
  CHECK(first_keys(4, 20) == std::vector<std::int32_t>(20, 0));  // the middle of a document
  const auto all = first_keys(0, 99);
  for (std::int64_t i = 0; i < 99; ++i)
    CHECK(all[static_cast<std::size_t>(i)] == std::min(i / 20 * 20, std::int64_t{60}));
}

TEST_CASE("token_source: documents without a token and shards without one do not move first keys") {
  const TempDir dir;
  write_shard(dir / "train-0.h5", {{1, 2}, {}, {}, {3, 4, 5}, {}}, 50);
  write_shard(dir / "train-1.h5", {}, 50);
  write_shard(dir / "train-2.h5", {{}, {6, 7}, {8}}, 50);
  const TokenSource source(dir.path(), Split::train);
  REQUIRE(source.summary().tokens == 8);
  std::vector<std::int32_t> keys(7);
  source.read_first_keys(0, 7, keys);
  CHECK(keys == std::vector<std::int32_t>{0, 0, 2, 2, 2, 5, 5});
}

TEST_CASE("token_source: shards that do not say where documents begin are named when that is asked for") {
  const TempDir dir;
  write_data_set(dir.path());
  CHECK_NOTHROW(TokenSource(dir.path(), Split::train).require_documents());
  fs::remove(dir / "manifest.json");
  fs::copy(fs::path(fixtures_dir()) / "shards" / "u16.h5", dir / "train-00002.h5");
  const TokenSource source(dir.path(), Split::train);
  CHECK_THAT(user_error_of([&] { source.require_documents(); }),
             Catch::Contains("no /doc_offsets") && Catch::Contains("train-00002.h5"));
}

TEST_CASE("token_source: bytes of a range count whole documents, and cut ones in proportion") {
  const TempDir dir;
  write_data_set(dir.path());
  const TokenSource source(dir.path(), Split::train);
  CHECK(source.utf8_bytes_in(0, 100).value() == Approx(300));
  CHECK(source.utf8_bytes_in(0, 20).value() == Approx(60));
  CHECK(source.utf8_bytes_in(10, 70).value() == Approx(30 + 60 + 60 + 30));
}

TEST_CASE("token_source: another vocabulary, another tokenizer and ids outside the vocabulary are refused") {
  const TempDir dir;
  ShardWriter writer({50, 1, 2, "aaaa"}, Hdf5Layout::contiguous);
  writer.add_document(std::vector<std::int32_t>{1, 49, 2}, 5);
  writer.write(dir / "train-0.h5");
  const TokenSource source(dir.path(), Split::train);
  CHECK_NOTHROW(source.require_vocabulary(50, "aaaa"));
  CHECK_NOTHROW(source.require_vocabulary(50, ""));
  CHECK_THAT(user_error_of([&] { source.require_vocabulary(64, ""); }),
             Catch::Contains("the shards have a vocabulary of 50, the model of 64") &&
                 Catch::Contains("set model.vocab_size"));
  CHECK_THAT(user_error_of([&] { source.require_vocabulary(64, "", VocabularyOf::model); }),
             Catch::Contains("--vocab-size 64") && !Catch::Contains("model.vocab_size"));
  CHECK_THAT(user_error_of([&] { source.require_vocabulary(50, "bbbb"); }),
             Catch::Contains("built with tokenizer aaaa, the run has bbbb"));
  fs::copy(fs::path(fixtures_dir()) / "shards" / "u16.h5", dir / "val-x.h5");
  const TokenSource foreign(dir.path(), Split::val);
  CHECK_NOTHROW(foreign.require_vocabulary(50, "bbbb"));
  CHECK_THAT(user_error_of([&] { foreign.require_vocabulary(40, ""); }),
             Catch::Contains("outside the vocabulary of 40"));
}

std::string error_after(const std::function<void(const fs::path&)>& damage) {
  const TempDir dir;
  fs::create_directory(dir / "set");
  write_data_set(dir / "set");
  damage(dir / "set");
  return user_error_of([&] { TokenSource(dir / "set", Split::train); });
}

TEST_CASE("token_source: a malformed manifest is refused with the key that is wrong") {
  struct Case {
    const char *from, *to, *message;
  };
  const auto [from, to, message] = GENERATE(values<Case>({
      {"\"vocab_size\"", "vocab_size", "not valid JSON"},
      {"\"vocab_size\"", "vocab_size", "manifest.json:3:3)"},
      {"granule-shard/1", "granule-shard/2", "the manifest's format is granule-shard/2"},
      {"granule-shard/1", "shards/1", "the manifest's format is shards/1"},
      {"\"shards\"", "\"shard\"", "shards is missing"},
      {"\"shards\": [", "\"shards\": 1, \"x\": [", "shards is not a list"},
      {"\"shards\": [", "\"shards\": [7,", "is not an object"},
      {"\"n_tokens\": 60", "\"tokens\": 60", "shards[0].n_tokens is missing"},
      {"\"n_tokens\": 60", "\"n_tokens\": -60", "shards[0].n_tokens is not a count"},
      {"\"n_tokens\": 60", "\"n_tokens\": 60.5", "shards[0].n_tokens is not a count"},
      {"\"n_tokens\": 60", "\"n_tokens\": 18446744073709551615", "shards[0].n_tokens is not a count"},
      {"\"n_tokens\": 60", "\"n_tokens\": 61", "60 tokens, the manifest says 61"},
      {"\"n_docs\": 3", "\"n_docs\": 4", "3 documents, the manifest says 4"},
      {"\"train-00000.h5\"", "12", "shards[0].file is not a string"},
      {"train-00000.h5", "../x.h5", "shards[0].file is not a plain file name"},
      {"\"train\"", "\"test\"", "shards[0].split is neither train nor val"},
      {"\"sha256\": \"", "\"sha256\": \"0", "shards[0].sha256 is not 64"},
      {"train-00001", "train-00000", "train-00000.h5 is listed twice"},
      {"\"vocab_size\": 50", "\"vocab_size\": 51", "vocab_size is 50, the rest of the data says 51"},
  }));
  const std::string error =
      error_after([from = from, to = to](const fs::path& d) { replace_in(d / "manifest.json", from, to); });
  CHECK_THAT(error, Catch::Contains(message));
}

TEST_CASE("token_source: a manifest that is no JSON object at all is refused") {
  const std::string text = GENERATE("", "[]", "null", "{", "\xff");
  const std::string error =
      error_after([&](const fs::path& d) { std::ofstream(d / "manifest.json") << text; });
  CHECK_THAT(error, Catch::Contains("not valid JSON") || Catch::Contains("not a JSON object"));
}

TEST_CASE("token_source: missing, changed and misplaced files of a data set are refused without waiting") {
  const auto replaced = [](const char* file, auto&& put) {
    return error_after([&](const fs::path& d) {
      fs::remove(d / file);
      put(d / file);
    });
  };
  const char* const shard = "train-00001.h5";
  CHECK_THAT(replaced(shard,
                      [](const fs::path& p) {
                        write_shard(p, {{9, 9}}, 50);
                      }),
             Catch::Contains("differs from what the manifest says (SHA-256) ("));
  CHECK_THAT(replaced(shard, [](const fs::path&) {}), Catch::Contains("No such file or directory"));
  for (const char* const file : {shard, "manifest.json"}) {
    CHECK_THAT(replaced(file, [](const fs::path& p) { fs::create_directory(p); }),
               Catch::Contains("not a regular file"));
    CHECK_THAT(replaced(file, [](const fs::path& p) { mkfifo(p.c_str(), 0600); }),
               Catch::Contains("not a regular file"));
  }
  CHECK_THAT(error_after([](const fs::path& d) {
               for (const char* const f : {"manifest.json", "train-00000.h5", "train-00001.h5"})
                 fs::remove(d / f);
             }),
             Catch::Contains("no shards of the train split"));
  CHECK_THAT(error_after([](const fs::path& d) { fs::remove_all(d); }), Catch::Contains("no such directory"));
  CHECK_THAT(error_after([](const fs::path& d) {
               fs::remove_all(d);
               std::ofstream(d).put('x');
             }),
             Catch::Contains("not a directory"));
}

TEST_CASE("token_source: digests are not read again when another rank has checked them") {
  const TempDir dir;
  write_data_set(dir.path());
  replace_in(dir / "manifest.json", "\"sha256\": \"",
             "\"sha256\": \"" + std::string(64, '0') + "\", \"was\": \"");
  CHECK_THROWS_AS(TokenSource(dir.path(), Split::train), Error);
  CHECK_NOTHROW(TokenSource(dir.path(), Split::train, DigestCheck::skip));
}

TEST_CASE("token_source: a data set may have more shards than a process may have open files") {
  const TempDir dir;
  for (int i = 0; i < 80; ++i) write_shard(dir / fmt::format("train-{:05}.h5", i), {{i % 50}}, 50);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{40, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  CHECK_NOTHROW(TokenSource(dir.path(), Split::train).require_vocabulary(50, ""));
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("token_source: too little text for one sample is refused") {
  const TempDir dir;
  write_data_set(dir.path());
  const TokenSource source(dir.path(), Split::val);
  CHECK(source.samples(19) == 1);
  CHECK_THAT(user_error_of([&] { static_cast<void>(source.samples(20)); }),
             Catch::Contains("the val split has 20 tokens, one sample of data.seq_len = 20 needs 21"));
  fs::copy_file(fs::path(fixtures_dir()) / "shards" / "bad_empty.h5", dir / "empty.h5");
  fs::create_directory(dir / "e");
  fs::rename(dir / "empty.h5", dir / "e" / "train-0.h5");
  CHECK_THAT(user_error_of([&] { static_cast<void>(TokenSource(dir / "e", Split::train).samples(1)); }),
             Catch::Contains("has 0 tokens"));
}

}  // namespace
}  // namespace granule
