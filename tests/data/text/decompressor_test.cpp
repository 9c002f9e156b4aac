#include "data/text/decompressor.hpp"

#include <fstream>

#include <zlib.h>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/text/text_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;

const fs::path kFiles = fs::path(fixtures_dir()) / "compressed";

std::vector<std::string> documents(const fs::path& path, DocumentUnit unit = DocumentUnit::file) {
  TextSource source({path}, unit);
  std::vector<std::string> texts;
  while (const auto document = source.next()) texts.emplace_back(document->text);
  CHECK(source.bytes_read() == source.bytes_total());
  return texts;
}

std::string content(const std::string& file) {
  const auto stream = Decompressor::of(std::as_bytes(std::span(file)), "x");
  REQUIRE(stream);
  std::string text;
  while (stream->read(text)) {
  }
  CHECK(stream->consumed() == std::ssize(file));
  return text;
}

std::string gzipped(const std::string& text) {
  std::string out(text.size() + 1000, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST_CASE(
    "decompressor: compressed JSON Lines and texts give the documents of the plain files, in one part or "
    "several") {
  const auto plain = documents(kFiles / "lines.jsonl");
  REQUIRE(plain.size() == 40);
  for (const char* const name : {"whole.jsonl.gz", "whole.jsonl.zst", "parts.jsonl.gz", "parts.jsonl.zst"}) {
    CAPTURE(name);
    CHECK(documents(kFiles / name) == plain);
  }
  const std::string text = read_file(kFiles / "lines.jsonl");
  for (const char* const name : {"padded.txt.gz", "whole.txt.zst"}) {
    CHECK(documents(kFiles / name) == plain);  // the content decides, and not the name
    const TempDir dir;
    write_file(dir / "x.txt.gz", gzipped("Of lines:\n\n" + text));
    CHECK(documents(dir / "x.txt.gz", DocumentUnit::line).size() == 41);
  }
}

TEST_CASE("decompressor: a directory's compressed texts are read among the others, in name order") {
  const TempDir dir;
  write_file(dir / "b.txt.gz", gzipped("B"));
  fs::copy_file(kFiles / "whole.jsonl.gz", dir / "a.jsonl.gz");
  write_file(dir / "c.txt", "C");
  write_file(dir / "d.csv.gz", gzipped("a,b\n"));
  TextSource source({dir / "."}, DocumentUnit::file);
  std::vector<std::string> names;
  while (const auto document = source.next()) names.push_back(fs::path(document->where).filename());
  REQUIRE(names.size() == 42);
  CHECK(names.front() == "a.jsonl.gz:1");
  CHECK(names[39] == "a.jsonl.gz:40");
  CHECK(names[40] == "b.txt.gz");
  CHECK(names[41] == "c.txt");
}

TEST_CASE("decompressor: lines longer and shorter than what is decompressed at once are whole") {
  const TempDir dir;
  std::string text;
  for (const std::size_t length : {10UL, 3'000'000UL, 1UL, 1'048'575UL, 1'048'576UL, 5UL, 2'000'000UL})
    text += std::string(length, 'a' + static_cast<char>(length % 26)) + (length % 2 == 0 ? "\n" : "\r\n");
  text += "the end";
  write_file(dir / "x.txt", text);
  write_file(dir / "x.txt.gz", gzipped("\xEF\xBB\xBF" + text));
  CHECK(documents(dir / "x.txt.gz", DocumentUnit::line) == documents(dir / "x.txt", DocumentUnit::line));
  CHECK(documents(dir / "x.txt.gz") == std::vector{text});
}

TEST_CASE("decompressor: a compressed file that is cut anywhere is refused") {
  const std::string name = GENERATE("whole.jsonl.gz", "whole.jsonl.zst");
  const std::string whole = read_file(kFiles / name), text = read_file(kFiles / "lines.jsonl");
  REQUIRE(content(whole) == text);
  for (std::size_t length = 4; length < whole.size(); ++length) {
    CAPTURE(name, length);
    CHECK_THAT(user_error_of([&] { content(whole.substr(0, length)); }),
               Catch::Contains("the compressed file ends too early (x): get the file again"));
  }
}

TEST_CASE("decompressor: a compressed file with a flipped bit is refused, or gives the same text") {
  const std::string name = GENERATE("whole.jsonl.gz", "whole.jsonl.zst");
  const std::string whole = read_file(kFiles / name), text = read_file(kFiles / "lines.jsonl");
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto stream = Decompressor::of(std::as_bytes(std::span(flipped)), "x");
    if (!stream) continue;  // these bits identify the format
    std::string got;
    try {
      while (stream->read(got)) {
      }
      CAPTURE(bit);
      CHECK(got == text);
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::user);
      ++refused;
    }
  }
  CHECK(refused > 7 * std::ssize(whole));
}

TEST_CASE("decompressor: something else behind compressed text is refused") {
  const std::string gz = read_file(kFiles / "whole.jsonl.gz"), zst = read_file(kFiles / "whole.jsonl.zst");
  CHECK_THAT(user_error_of([&] { content(gz + "garbage"); }), Catch::Contains("something else follows"));
  CHECK_THAT(user_error_of([&] { content(gz + "\x1fgarbage"); }), Catch::Contains("is damaged"));
  CHECK_THAT(user_error_of([&] { content(zst + "garbage"); }), Catch::Contains("is damaged"));
  CHECK(content(gz + gz) == content(gz) + content(gz));
}

TEST_CASE("decompressor: what is not compressed is known by its first bytes and its name") {
  const auto known = [](std::string_view bytes, const char* name) {
    return Decompressor::of(std::as_bytes(std::span(bytes)), name) != nullptr;
  };
  CHECK_FALSE(known("plain", "x.txt"));
  CHECK_FALSE(known("", "x.txt"));
  CHECK(known("\x1f\x8b", "x.txt"));
  CHECK_THAT(user_error_of([&] { known("\x28\xb5\x2f", "x.zst"); }), Catch::Contains("not a Zstandard file"));
  CHECK(uncompressed_name("a/b.jsonl.gz") == "a/b.jsonl");
  CHECK(uncompressed_name("a/b.zst") == "a/b");
  CHECK(uncompressed_name("a/b.txt") == "a/b.txt");
}

}  // namespace
}  // namespace granule
