#ifdef GRANULE_WITH_SENTENCEPIECE
#include "data/bpe/json_from_pieces.hpp"

#include <random>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::TempDir;
using namespace std::string_literals;

// Everything that the two kinds of file treat in ways of their own.
const std::vector<std::string> kParts{
    "the ",    "whale",    " of",    "  ",         "\n",   "\t",           "a",
    "aa",      "aaaa",     "-",      "---",        "1234", "\u00e9",       "e\u0301",
    "\u2581",  "\u2581a",  "\u9be8", "\U0001F40B", "\0"s,  "\x7f",         "<0x0A>",
    "harpoon", "captain.", "sea",    "ship",       "S",    "\u00a0\u3000", "\uFFFD"};

std::string odd_text(unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (auto parts = random() % 20; parts > 0; --parts) text += kParts[random() % kParts.size()];
  return text;
}

// `addition` is a part of the model's message that wins over what the model says.
void check_same_ids(const std::string& addition) {
  const TempDir dir;
  write_file(dir / "tokenizer.model", read_file(test::small_tokenizer()) + addition);
  const auto model = open_tokenizer(dir / "tokenizer.model");
  write_file(dir / "tokenizer.json", json_from_pieces(model->listing()).dump());
  const auto json = open_tokenizer(dir / "tokenizer.json");
  CHECK(json->vocab_size() == model->vocab_size());
  CHECK(json->bos_id() == model->bos_id());
  CHECK(json->eos_id() == model->eos_id());
  CHECK(json->unknown_id() == model->unknown_id());
  CHECK(json->adds_leading_space() == model->adds_leading_space());
  for (unsigned seed = 0; seed < 300; ++seed) {
    const std::string text = odd_text(seed);
    CAPTURE(text);
    const auto ids = model->encode(text);
    CHECK(json->encode(text) == ids);
    CHECK(json->decode(ids) == model->decode(ids));
  }
}

TEST_CASE(
    "json_from_pieces: a tokenizer.json gives the ids of its SentencePiece model, with a prefix and "
    "without") {
  check_same_ids("");
  check_same_ids("\x1a\x02\x18\x00"s);
}

TEST_CASE("json_from_pieces: what a tokenizer.json cannot say is named") {
  const VocabularyListing listing = open_tokenizer(test::small_tokenizer())->listing();
  CHECK(beyond_json(listing).empty());
  VocabularyListing other = listing;
  other.obstacle = "it normalizes text";
  CHECK(beyond_json(other) == "it normalizes text");
  const auto with = [&](ListedPiece piece) {
    VocabularyListing changed = listing;
    changed.pieces.push_back(std::move(piece));
    CHECK_THROWS_AS(json_from_pieces(changed), Error);
    return beyond_json(changed);
  };
  CHECK_THAT(with({"<tag>", PieceKind::user_defined}), Contains("user-defined"));
  CHECK_THAT(with({"x y", PieceKind::unused}), Contains("unused"));
  CHECK_THAT(with({"</s>", PieceKind::normal}), Contains("twice"));
  CHECK_THAT(with({"x y", PieceKind::normal}), Contains("with a space"));
}

}  // namespace
}  // namespace granule
#endif
