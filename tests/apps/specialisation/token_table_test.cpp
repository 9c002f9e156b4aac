#include "apps/specialisation/token_table.hpp"

#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_tokenizer.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// Every id has the piece and the class that its bytes say.
void check_table(Tokenizer& tokenizer, std::string_view text) {
  const TokenTable table(tokenizer);
  CHECK(table.known());
  TokenClassifier classify;
  std::string joined;
  for (const std::int32_t id : tokenizer.encode(text)) {
    joined += *table.piece(id);
    if (id != tokenizer.unknown_id()) CHECK(table.class_of(id) == classify(tokenizer.token_bytes(id)));
  }
  CHECK(joined == "\u2581the\u2581whale,\u2581the\u2581sea.");
  CHECK_FALSE(table.piece(tokenizer.vocab_size()).has_value());
  CHECK(table.class_of(tokenizer.vocab_size()) == TokenClass::other);
  const std::int32_t eos = tokenizer.eos_id().value();
  CHECK(table.piece(eos) == tokenizer.token_name(eos));
  CHECK(table.class_of(eos) == TokenClass::other);
}

}  // namespace

TEST_CASE("token_table: pieces of a byte-level BPE have ▁ for spaces, and names where bytes are no text") {
  const auto tokenizer = open_tokenizer(fixtures_dir() + "/tokenizers/base.json", "<｜end▁of▁sentence｜>");
  check_table(*tokenizer, " the whale, the sea.");
  const TokenTable table(*tokenizer);
  std::int64_t named = 0;
  for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    if (!first_invalid_utf8(tokenizer->token_bytes(id))) continue;
    CHECK(table.piece(id) == tokenizer->token_name(id));
    CHECK(table.class_of(id) == TokenClass::other);
    ++named;
  }
  CHECK(named >= 128);  // the bytes that no character consists of alone
}

#ifdef GRANULE_WITH_SENTENCEPIECE
TEST_CASE("token_table: pieces of SentencePiece are its own") {
  const auto tokenizer = open_tokenizer(small_tokenizer());
  const TokenTable table(*tokenizer);
  check_table(*tokenizer, "the whale, the sea.");
  for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    if (!tokenizer->token_name(id).starts_with("<0x")) CHECK(table.piece(id) == tokenizer->token_name(id));
  }
  CHECK(table.class_of(*tokenizer->unknown_id()) == TokenClass::other);
}
#endif

TEST_CASE("token_table: without a tokenizer nothing is known of an id") {
  const TokenTable table;
  CHECK_FALSE(table.known());
  CHECK_FALSE(table.piece(0).has_value());
  CHECK(table.class_of(0) == TokenClass::other);
}
