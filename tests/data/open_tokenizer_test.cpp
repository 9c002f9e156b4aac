#include "data/open_tokenizer.hpp"

#include <nlohmann/json.hpp>

#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;

const fs::path& base() {
  static const fs::path path = fs::path(fixtures_dir()) / "tokenizers/base.json";
  return path;
}

std::string error_of(const fs::path& path) {
  return user_error_of([&] { static_cast<void>(open_tokenizer(path)); });
}

TEST_CASE(
    "open_tokenizer: files that people take for a tokenizer are called by their name, with the file to give "
    "instead") {
  struct Case {
    const char* file;
    std::string content;
    const char* what;
    const char* advice;
  };
  const auto bad = GENERATE(values<Case>({
      {"vocab.json", R"({"padding": 0, "model": 1, "!": 2})", "a vocabulary alone", "tokenizer.json"},
      {"encoder.json", R"({"a": 0, "b": 1})", "a vocabulary alone", "save_pretrained"},
      {"merges.txt", "#version: 0.2\n\xC4\xA0 t\n", "a merges.txt alone", "tokenizer.json"},
      {"tokenizer.model", "IQ== 0\nIg== 1\n", "a tiktoken file", "tokenizer.json"},
      {"cl100k_base.tiktoken", "IQ== 0\r\nIg== 1\r\n", "a tiktoken file", "tokenizer.json"},
      {"tekken.json", R"({"config": {}, "vocab": []})", "a tekken.json", "tokenizer.json"},
      {"tokenizer_config.json", R"({"tokenizer_class": "X"})", "a tokenizer_config.json", "beside it"},
      {"config.json", R"({"model_type": "deepseek", "x": 1})", "a model's config.json", "beside it"},
      {"tokenizer.json.gz", "\x1f\x8b\x08", "a gzip file", "unpack it"},
      {"tokenizer.json", "\x1f\x8b\x08", "a gzip file", "unpack it"},
      {"tokenizer.zst", "\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it"},
      {"tokenizer.zip", "PK\x03\x04", "a zip archive", "unpack it"},
      {"tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer",
       "git lfs pull"},
      {"tokenizer.txt", R"({"version": "1.0"})", "JSON under a name", "tokenizer.json"},
  }));
  const TempDir dir;
  write_file(dir / bad.file, bad.content);
  CHECK_THAT(error_of(dir / bad.file), Contains(bad.what) && Contains(bad.advice) && Contains(bad.file));
}

TEST_CASE(
    "open_tokenizer: a directory is opened by the tokenizer inside of it, or refused by what it holds") {
  const TempDir dir;
  fs::create_directory(dir / "hf");
  CHECK_THAT(error_of(dir / "hf"), Contains("holds no tokenizer.json and no tokenizer.model"));
  write_file(dir / "hf/vocab.json", "{}");
  write_file(dir / "hf/merges.txt", "");
  CHECK_THAT(error_of(dir / "hf"), Contains("holds a vocab.json, but no tokenizer.json"));
  fs::copy_file(base(), dir / "hf/tokenizer.json");
  CHECK(open_tokenizer(dir / "hf")->path() == dir / "hf/tokenizer.json");
  // Llama 3 has such a file in the folder of its tokenizer.json.
  write_file(dir / "hf/tokenizer.model", "IQ== 0\n");
  CHECK(open_tokenizer(dir / "hf")->standard_name() == "tokenizer.json");
}

#ifdef GRANULE_WITH_SENTENCEPIECE

TEST_CASE("open_tokenizer: a SentencePiece model may have any name, and its copies have the usual one") {
  const TempDir dir;
  fs::copy_file(test::small_tokenizer(), dir / "spiece");
  CHECK(open_tokenizer(dir / "spiece")->standard_name() == "tokenizer.model");
  fs::copy_file(test::small_tokenizer(), dir / "tokenizer.model");
  fs::copy_file(base(), dir / "tokenizer.json");
  CHECK(open_tokenizer(dir.path())->path() == dir / "tokenizer.model");
  CHECK_THAT(user_error_of([&] { static_cast<void>(open_tokenizer(dir / "spiece", "</s>")); }),
             Contains("has its own EOS") && Contains("leave out --eos"));
}

#endif

}  // namespace
}  // namespace granule
