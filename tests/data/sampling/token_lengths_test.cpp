#ifdef GRANULE_WITH_SENTENCEPIECE
#include "data/sampling/token_lengths.hpp"

#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "data/shards/shard.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::prose;
using test::small_tokenizer;
using test::TempDir;

/// Documents with words of different lengths, and characters of several bytes.
const std::vector<std::string> kTexts{
    prose(3, 2), "a völlig ungleich verteilter text, 漢字 und mehr: " + prose(4, 1), "i", prose(5, 3)};

struct Set {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> until;  ///< bytes of text before each token, and of the whole text
};

/// The bytes of a document's first tokens are those of the text that decode makes from them.
Set write_set(const fs::path& directory, std::string tokenizer_sha256, std::int64_t bytes_factor = 1) {
  const auto tokenizer = open_tokenizer(small_tokenizer());
  const std::int32_t eos = *tokenizer->eos_id();
  ShardWriter writer({tokenizer->vocab_size(), -1, eos, std::move(tokenizer_sha256)}, Hdf5Layout::contiguous);
  Set set{{}, {0}};
  for (const std::string& text : kTexts) {
    std::vector<std::int32_t> ids = tokenizer->encode(text);
    REQUIRE(tokenizer->decode(ids) == text);
    const std::int64_t before = set.until.back();
    std::int64_t bytes = tokenizer->adds_leading_space() ? -1 : 0;
    for (const std::int32_t id : ids) {
      bytes += std::ssize(tokenizer->token_bytes(id));
      set.until.push_back(before + bytes);
    }
    REQUIRE(bytes == std::ssize(text));
    set.until.push_back(before + bytes);  // EOS has no text
    ids.push_back(eos);
    writer.add_document(ids, std::ssize(text) * bytes_factor);
    set.ids.insert(set.ids.end(), ids.begin(), ids.end());
  }
  writer.write(directory / "train-00000.h5");
  fs::copy(small_tokenizer(), directory / "tokenizer.model");
  return set;
}

TEST_CASE("token_lengths: bytes of a range are exactly those of its tokens, wherever it cuts a document") {
  const TempDir dir;
  const Set set = write_set(dir.path(), open_tokenizer(small_tokenizer())->sha256());
  const TokenSource source(dir.path(), Split::train);
  const std::int64_t tokens = std::ssize(set.ids);
  for (std::int64_t begin = 0; begin < tokens; begin += 3) {
    for (std::int64_t end = begin + 1; end <= tokens; end += 5) {
      const auto expected = static_cast<double>(set.until[static_cast<std::size_t>(end)] -
                                                set.until[static_cast<std::size_t>(begin)]);
      CHECK(source.utf8_bytes_in(begin, end).value() == Approx(expected).epsilon(1e-12));
    }
  }
}

TEST_CASE(
    "token_lengths: a tokenizer that changes text shares a cut document's bytes out by the bytes of its "
    "tokens") {
  const TempDir dir;
  const Set set = write_set(dir.path(), "", 2);  // the text was twice as long as what decode makes
  const TokenSource source(dir.path(), Split::train);
  CHECK(source.utf8_bytes_in(0, 9).value() == Approx(2 * set.until[9]).epsilon(1e-12));
}

TEST_CASE(
    "token_lengths: with another tokenizer beside it, or none, a cut document counts in proportion to its "
    "tokens") {
  const TempDir dir;
  const Set set = write_set(dir.path(), "aaaa");
  const auto first = open_tokenizer(small_tokenizer())->encode(kTexts[0]).size() + 1;
  const double share = static_cast<double>(kTexts[0].size()) * 9.0 / static_cast<double>(first);
  CHECK(TokenSource(dir.path(), Split::train).utf8_bytes_in(0, 9).value() == Approx(share));
  fs::remove(dir / "tokenizer.model");
  CHECK(TokenSource(dir.path(), Split::train).utf8_bytes_in(0, 9).value() == Approx(share));
  CHECK(TokenSource(dir.path(), Split::train).utf8_bytes_in(0, std::ssize(set.ids)).value() ==
        Approx(static_cast<double>(set.until.back())));
}

}  // namespace
}  // namespace granule
#endif
