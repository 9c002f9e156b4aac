#ifdef GRANULE_WITH_SENTENCEPIECE
#include <fstream>
#include <random>

#include <sentencepiece_processor.h>

#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "data/tokenizers/tokenizer_training.hpp"
#include "data/tokenizers/word_cutter.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::TempDir;
using test::user_error_of;

// Text with everything that is difficult to cut: runs of spaces, tabs, line ends, digits, code and accents.
// It also has CJK without spaces, emoji with joiners, control characters, SentencePiece's own signs, and
// special tokens that are spelt out.
const std::vector<std::string>& fragments() {
  static const std::vector<std::string> all{"Call me Ishmael. ",
                                            "whale",
                                            " whales",
                                            "  ",
                                            "   \t",
                                            "\n",
                                            "\n\n",
                                            "\r\n",
                                            " \n ",
                                            "\t\tif (x == 10) {\n",
                                            "    return x[1234567890];\n",
                                            "don't",
                                            "--",
                                            "----------------",
                                            "...",
                                            "a",
                                            "A",
                                            " a ",
                                            "caf\u00e9",
                                            "\u00e9",
                                            "na\u00efve ",
                                            "\u9be8\u9c78\u306f\u6d77\u306b\u3044\u308b\u3002",
                                            "\u4f60\u597d\uff0c\u4e16\u754c",
                                            "\U0001F40B",
                                            "\U0001F469\u200D\U0001F467",
                                            "\u2581",
                                            "\u2581\u2581x",
                                            " \u2581 ",
                                            "\u00a0",
                                            "\u3000",
                                            std::string("\0", 1),
                                            "\x01",
                                            "\x7f",
                                            "<s>",
                                            "</s>",
                                            "<unk>",
                                            "<0x0A>",
                                            "\uFFFD",
                                            "\uFEFF",
                                            "\u0301",
                                            "e\u0301",
                                            "3.14159",
                                            "1",
                                            "2024-01-02",
                                            "http://example.org/a?b=c&d=%20",
                                            "\u05e9\u05dc\u05d5\u05dd",
                                            "\u0645\u0631\u062d\u0628\u0627",
                                            "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"};
  return all;
}

std::string messy_text(unsigned seed, int pieces) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < pieces; ++i) text += fragments()[random() % fragments().size()];
  return text;
}

std::string train(std::string text, std::int64_t vocab_size) {
  std::erase(text, '\0');  // no text file contains it
  const TempDir dir;
  std::ofstream(dir / "x.txt", std::ios::binary) << text;
  TextSource source({dir / "x.txt"}, DocumentUnit::file);
  return train_tokenizer(source, vocab_size).model;
}

// One model for all tests. It is trained on text like that of the tests, so that it has long and strange
// pieces.
const fs::path& model_path() {
  static const TempDir dir;
  static const fs::path path = [] {
    std::string text;
    for (unsigned seed = 0; seed < 200; ++seed) text += messy_text(seed, 100) + "\n";
    fs::path file = dir / "tokenizer.model";
    write_file(file, train(text, 700));
    return file;
  }();
  return path;
}

std::vector<int> whole(const sentencepiece::SentencePieceProcessor& processor, const std::string& text) {
  std::vector<int> ids;
  REQUIRE(processor.Encode(text, &ids).ok());
  return ids;
}

TEST_CASE(
    "tokenizer: encoding word by word gives the ids of encoding whole documents, on the messiest text") {
  const auto tokenizer = open_tokenizer(model_path());
  sentencepiece::SentencePieceProcessor reference;
  REQUIRE(reference.Load(model_path().string()).ok());
  for (const std::string& fragment : fragments())
    CHECK(tokenizer->encode(fragment) == whole(reference, fragment));
  CHECK(tokenizer->encode("").empty());
  for (unsigned seed = 1000; seed < 1500; ++seed) {
    const std::string text = messy_text(seed, 1 + static_cast<int>(seed % 60));
    CAPTURE(seed, text);
    REQUIRE(tokenizer->encode(text) == whole(reference, text));
  }
}

TEST_CASE("tokenizer: random strings of all characters encode as SentencePiece does") {
  const auto tokenizer = open_tokenizer(model_path());
  sentencepiece::SentencePieceProcessor reference;
  REQUIRE(reference.Load(model_path().string()).ok());
  std::mt19937 random(7);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int c = 0; c < 80; ++c) text += " eatw.1\n\t\xe9"[random() % 9];
    REQUIRE(tokenizer->encode(text) == whole(reference, text));
  }
}

TEST_CASE("tokenizer: decoding gives the text back, whole or as a stream") {
  const auto tokenizer = open_tokenizer(model_path());
  for (unsigned seed = 1; seed < 100; ++seed) {
    std::string text = messy_text(seed, 30);
    const auto ids = tokenizer->encode(text);
    for (std::size_t at; (at = text.find("\u2581")) != std::string::npos;) text.replace(at, 3, 1, ' ');
    CHECK(tokenizer->decode(ids) == text);
    TextStream stream(*tokenizer, TextPosition::document_start);
    std::string streamed;
    for (const auto id : ids) {
      const std::string part = stream.add(id);
      REQUIRE_FALSE(first_invalid_utf8(part).has_value());
      streamed += part;
    }
    CHECK(streamed + stream.finish() == text);
  }
}

TEST_CASE("tokenizer: inside a document a leading space is kept, and control tokens are silent") {
  const auto tokenizer = open_tokenizer(model_path());
  const auto ids = tokenizer->encode("whale");
  TextStream inside(*tokenizer, TextPosition::inside);
  std::string text;
  for (const auto id : ids) text += inside.add(id);
  CHECK(text == " whale");
  CHECK(tokenizer->token_bytes(*tokenizer->eos_id()).empty());
  CHECK(tokenizer->bos_id() == 1);
  CHECK(tokenizer->eos_id() == 2);
  CHECK(tokenizer->vocab_size() == 700);
  CHECK(tokenizer->decode(std::vector<std::int32_t>{3 + 0xF0, 3 + 0x9F}) == "\uFFFD\uFFFD");  // a cut whale
  CHECK_THROWS_AS(tokenizer->token_bytes(700), Error);
}

TEST_CASE("tokenizer: a tokenizer's digest is that of its file, and training is reproducible") {
  const std::string text = messy_text(5, 4000);
  const std::string model = train(text, 600);
  CHECK(model == train(text, 600));
  const TempDir dir;
  write_file(dir / "t.model", model);
  CHECK(open_tokenizer(dir / "t.model")->sha256() == sha256_of(std::as_bytes(std::span(model))));
}

TEST_CASE("tokenizer: lines longer than SentencePiece takes are trained on all the same") {
  std::string line = "zyzzyva ";
  while (line.size() < 100'000) line += "zyzzyva quagga ";
  const TempDir dir;
  write_file(dir / "t.model", train(line, 290));
  CHECK(open_tokenizer(dir / "t.model")->encode("zyzzyva quagga zyzzyva").size() == 3);
  std::string unbroken;
  for (int i = 0; i < 5000; ++i) unbroken += "\u9be8\u9c78";
  write_file(dir / "u.model", train(unbroken, 270));
  CHECK(open_tokenizer(dir / "u.model")->encode("\u9be8\u9c78\u9be8\u9c78").size() < 3);
}

TEST_CASE("tokenizer: text that is not UTF-8 is refused with the place") {
  const auto tokenizer = open_tokenizer(model_path());
  CHECK(user_error_of([&] { static_cast<void>(tokenizer->encode("abc\xff")); }) ==
        "the text is not UTF-8 (byte 3): convert it to UTF-8");
}

TEST_CASE("tokenizer: files that are no tokenizer are refused") {
  const TempDir dir;
  write_file(dir / "empty.model", "");
  std::ofstream(dir / "text.model") << "this is not a model";
  write_file(dir / "cut.model", read_file(model_path()).substr(0, 3000));
  const auto error = [&](const char* name) {
    return user_error_of([&] { static_cast<void>(open_tokenizer(dir / name)); });
  };
  CHECK_THAT(error("empty.model"), Catch::Contains("not a SentencePiece model"));
  CHECK_THAT(error("text.model"), Catch::Contains("not a SentencePiece model"));
  CHECK_THAT(error("cut.model"), Catch::Contains("SentencePiece model"));
  CHECK_THAT(error("absent.model"), Catch::Contains("No such file"));
  CHECK_THAT(error("."), Catch::Contains("the directory holds no tokenizer.json"));
}

TEST_CASE("tokenizer: a vocabulary that the text does not support is refused with the size that it does") {
  CHECK_THAT(user_error_of([] { train("too little text", 5000); }),
             Catch::Contains("the text does not give that many pieces (--vocab-size 5000): use at most 2"));
  CHECK_THAT(
      user_error_of([] { train("too little text", 100); }),
      Catch::Contains("too few pieces for the characters of the text (--vocab-size 100): use at least 2"));
  CHECK_THAT(user_error_of([] { train("text", 0); }), Catch::Contains("a vocabulary of 0 pieces"));
  CHECK_THAT(user_error_of([] { train("text", -5); }), Catch::Contains("a vocabulary of -5 pieces"));
  CHECK_THAT(user_error_of([] { train("", 300); }), Catch::Contains("there is no text to train on"));
  CHECK_THAT(user_error_of([] { train("\n\r\n\n", 300); }), Catch::Contains("there is no text to train on"));
  CHECK_THAT(user_error_of([] { train("fine\n\xff", 300); }), Catch::Contains("not UTF-8"));
}

TEST_CASE("tokenizer: a cut is allowed exactly where no piece of the vocabulary holds both characters") {
  WordCutter cutter;
  cutter.add_piece("\u2581the");
  cutter.add_piece("\u9be8\u9c78");
  CHECK(cutter.joins(U' ', U't'));
  CHECK(cutter.joins(U'\u2581', U't'));
  CHECK(cutter.joins(U'h', U'e'));
  CHECK(cutter.joins(U'\u9be8', U'\u9c78'));
  CHECK_FALSE(cutter.joins(U'\u9c78', U'\u9be8'));
  CHECK_FALSE(cutter.joins(U'e', U' '));
  CHECK_FALSE(cutter.joins(U't', U'e'));
}

}  // namespace
}  // namespace granule
#endif
