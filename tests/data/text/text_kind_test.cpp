#include "data/text/text_kind.hpp"

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using std::string_literals::operator""s;
using test::TempDir;

const std::string kTwoLines = "{\"text\": \"a\", \"url\": \"x\"}\n{\"text\": \"b\"}\n";

TextFile look_at_file(const std::string& name, const std::string& content, const std::string& key = "text") {
  const TempDir dir;
  write_file(dir / name, content);
  return look_at(dir / name, key);
}

TEST_CASE("text_kind: lines that are JSON objects are JSON Lines, whatever the file is called") {
  for (const char* const name : {"c4-train.00000-of-01024.json", "a.ndjson", "a.JSONL", "a.jsonlines",
                                 "wiki_00", "part.00001", "a.txt", "a.md", "a.csv", "a.log"}) {
    CAPTURE(name);
    CHECK(look_at_file(name, kTwoLines).kind == TextKind::json_lines);
    CHECK(look_at_file(name, "\xEF\xBB\xBF \r\n" + kTwoLines).kind == TextKind::json_lines);
    CHECK(look_at_file(name, kTwoLines).has_key);
    CHECK_FALSE(look_at_file(name, kTwoLines, "content").has_key);
  }
}

TEST_CASE("text_kind: some bad lines do not make text of JSON Lines") {
  const std::string bad_first = "{\"text\": \"a\", \"x\": NaN}\n" + kTwoLines;
  const std::string bad_middle = kTwoLines + "{\"text\": 'x'}\nrubbish\n" + kTwoLines;
  for (const char* const name : {"a.json", "a.jsonl", "a.txt", "a"}) {
    CAPTURE(name);
    CHECK(look_at_file(name, bad_first).kind == TextKind::json_lines);
    CHECK(look_at_file(name, bad_middle).kind == TextKind::json_lines);
  }
  // If all lines are bad, the file is only text if its name promises text.
  const std::string python = "{'text': 'a'}\n{'text': 'b'}\n";
  CHECK(look_at_file("a", python).kind == TextKind::json_lines);
  CHECK(look_at_file("a.json", python).kind == TextKind::json_lines);
  CHECK(look_at_file("a.txt", python).kind == TextKind::text);
}

TEST_CASE("text_kind: a bad first line does not make text of JSON Lines, unless the name promises text") {
  const std::string lines = "rubbish\n" + kTwoLines;
  for (const char* const name : {"a", "wiki_00", "a.csv", "a.json", "a.jsonl"}) {
    CAPTURE(name);
    CHECK(look_at_file(name, lines).kind == TextKind::json_lines);
    CHECK(look_at_file(name, "rubbish\r\n\r\n  " + kTwoLines).kind == TextKind::json_lines);
  }
  CHECK(look_at_file("a", lines).has_key);
  CHECK(look_at_file("a.txt", lines).kind == TextKind::text);
  CHECK(look_at_file("a", "function f()\n{\n  return 1;\n}\n").kind == TextKind::text);
  CHECK(look_at_file("a", "one\ntwo\n{\"a\": 1}\n").kind == TextKind::text);
}

TEST_CASE("text_kind: the advice for JSON of another form leads to JSON Lines") {
  const auto advice = [](const std::string& content) { return look_at_file("a.json", content).advice; };
  CHECK_THAT(advice("[{\"text\": \"a\"}]"), Contains("jq -c '.[]' FILE"));
  CHECK_THAT(advice(" [ \"a\", \"b\"]"), Contains("jq -c '.[] | {\"text\": .}' FILE"));
  const TempDir dir;
  fs::copy_file(fs::path(test::fixtures_dir()) / "compressed/array.json.gz", dir / "a.json.gz");
  CHECK_THAT(look_at(dir / "a.json.gz", "text").advice,
             Contains("decompress it, and write one object a line"));
}

TEST_CASE("text_kind: text that begins with a brace or a bracket stays text") {
  for (const char* const name : {"a.txt", "a.md", "a"}) {
    CAPTURE(name);
    for (const std::string text :
         {"{ this is no JSON }\nmore\n", "{\nint x;\n}\n", "[Illustration]\n\nCHAPTER 1\n",
          "{}\nand then prose\n", "{\"a\": 1}\nis an object.\nThis is a text\nabout it.\n",
          "[1] A note.\n[2] Another.\n", "{", "["}) {
      CAPTURE(text);
      CHECK(look_at_file(name, text).kind == TextKind::text);
    }
  }
  CHECK(look_at_file("a.txt", "{\"quoted\" he said}\n").kind == TextKind::text);
  CHECK(look_at_file("a.txt", "").kind == TextKind::text);
}

TEST_CASE("text_kind: JSON that is not a line for each object is refused under every name, with advice") {
  for (const char* const name : {"a.json", "a.jsonl", "a.txt", "a"}) {
    CAPTURE(name);
    const TextFile array = look_at_file(name, "[\n {\"text\": \"a\"},\n {\"text\": \"b\"}\n]\n");
    CHECK_FALSE(array.kind);
    CHECK_THAT(array.problem + array.advice, Contains("a JSON array") && Contains("jq -c"));
    CHECK_FALSE(look_at_file(name, "[{\"text\": \"a\"}]").kind);
    const TextFile object = look_at_file(name, "{\n  \"text\": \"a\"\n}\n");
    CHECK_FALSE(object.kind);
    CHECK_THAT(object.problem + object.advice, Contains("over several lines") && Contains("jq -c"));
    CHECK_FALSE(look_at_file(name, "{\n \"text\": \"a\"\n}\n{\n \"text\": \"b\"\n}\n").kind);
  }
  CHECK_THAT(look_at_file("a.json", "just text").problem, Contains("begins as no JSON object"));
}

TEST_CASE("text_kind: binary files are refused by the name of what they are") {
  const std::string tar = std::string(257, 'x') + "ustar\00000"s + std::string(300, '\0');
  const std::vector<std::pair<std::string, const char*>> files{
      {"PK\x03\x04zip", "a zip archive"},
      {"\xFD\x37zXZ\0data"s, "an xz file"},
      {"BZh91AY&SY data", "a bzip2 file"},
      {"\x04\x22\x4d\x18 data", "an lz4 file"},
      {"7z\xbc\xaf\x27\x1c data", "a 7z archive"},
      {"Rar!\x1a\x07 data", "a RAR archive"},
      {tar, "a tar archive"},
      {"PAR1\x15\x04 data", "a Parquet file"},
      {"ARROW1\0\0 data"s, "an Arrow file"},
      {"\x89HDF\r\n\x1a\n data", "an HDF5 file"},
      {"\x93NUMPY\x01\0 data"s, "a NumPy file"},
      {"MMIDIDX\0\0 data"s, "an index of Megatron"},
      {"SQLite format 3\0 data"s, "an SQLite database"},
      {"\x80\x04\x95 data", "a pickle of Python"},
      {"%PDF-1.5 data", "a PDF document"},
      {"\x89PNG\r\n\x1a\n data", "a PNG image"},
      {"\xff\xd8\xff\xe0 data", "a JPEG image"},
      {"GIF89a data", "a GIF image"},
      {"\xff\xfeh\0i\0"s, "UTF-16 text"},
      {"\xfe\xff\0h\0i"s, "UTF-16 text"},
      {"\xff\xfe\0\0h\0\0\0"s, "UTF-32 text"},
      {"h\0e\0l\0l\0o\0 \0w\0o\0r\0l\0d\0"s, "UTF-16 text without a byte order mark"},
      {"\0{\0\"\0t\0e\0x\0t\0\"\0:\0\"\0a\0\"\0}"s, "UTF-16 text without a byte order mark"},
      {"some text\0\0\0 and\0more"s, "binary data with NUL bytes"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a Git LFS pointer"},
  };
  for (const auto& [content, name] : files) {
    for (const char* const file : {"a.txt", "a.jsonl", "a.json", "a"}) {
      CAPTURE(file, name);
      const TextFile seen = look_at_file(file, content);
      CHECK_FALSE(seen.kind);
      CHECK_THAT(seen.problem, Contains(name));
      CHECK_FALSE(seen.advice.empty());
    }
  }
}

TEST_CASE("text_kind: a NUL in a line of JSON Lines is the fault of that line, not of the file") {
  CHECK(look_at_file("a.jsonl", "{\"text\": \"a\"}\0{}\n{\"text\": \"b\"}\n"s).kind == TextKind::json_lines);
}

TEST_CASE("text_kind: names count without their compression, and capitals as small letters") {
  CHECK(what_name_says("a.TXT") == NameSays::text);
  CHECK(what_name_says("a.txt.GZ") == NameSays::text);
  CHECK(what_name_says("a.ndjson.zst") == NameSays::json_lines);
  CHECK(what_name_says("c4-train.00000-of-01024.json.gz") == NameSays::json);
  CHECK(what_name_says("a.tar.gz") == NameSays::nothing);
  CHECK(what_name_says("wiki_00") == NameSays::nothing);
}

}  // namespace
}  // namespace granule
