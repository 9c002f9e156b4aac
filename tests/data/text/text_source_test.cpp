#include "data/text/text_source.hpp"

#include <fstream>

#include <sys/stat.h>

#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::TempDir;
using test::user_error_of;
using Documents = std::vector<std::pair<std::string, std::string>>;

Documents read_all(const std::vector<fs::path>& inputs, DocumentUnit unit) {
  TextSource source(inputs, unit);
  Documents documents;
  while (const auto document = source.next()) {
    documents.emplace_back(document->text, fs::path(document->where).filename());
  }
  CHECK(source.bytes_read() == source.bytes_total());
  return documents;
}

void put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

TEST_CASE("text_source: a text file is one document, or one a line") {
  const TempDir dir;
  put(dir / "a.txt", "one\ntwo\r\n\nthree");
  CHECK(read_all({dir / "a.txt"}, DocumentUnit::file) == Documents{{"one\ntwo\r\n\nthree", "a.txt"}});
  CHECK(read_all({dir / "a.txt"}, DocumentUnit::line) ==
        Documents{{"one", "a.txt:1"}, {"two", "a.txt:2"}, {"three", "a.txt:4"}});
}

TEST_CASE(
    "text_source: JSON Lines give the text of each object, whatever the unit, and a byte order mark is no "
    "text") {
  const TempDir dir;
  put(dir / "a.jsonl",
      "\xEF\xBB\xBF{\"text\": \"caf\\u00e9\\nx\"}\n\n {\"id\": 7, \"text\": \"\"}\r\n{\"text\": \"b\"}");
  put(dir / "b.txt", "\xEF\xBB\xBFplain");
  for (const DocumentUnit unit : {DocumentUnit::file, DocumentUnit::line}) {
    CHECK(read_all({dir / "a.jsonl"}, unit) == Documents{{"caf\u00e9\nx", "a.jsonl:1"}, {"b", "a.jsonl:4"}});
  }
  CHECK(read_all({dir / "b.txt"}, DocumentUnit::file) == Documents{{"plain", "b.txt"}});
}

TEST_CASE("text_source: files come as named, those of a directory in name order, empty ones not at all") {
  const TempDir dir;
  put(dir / "set/b.txt", "B");
  put(dir / "set/a/z.txt", "Z");
  put(dir / "set/a.txt", "A");
  put(dir / "set/empty.txt", "");
  put(dir / "set/c.jsonl", "{\"text\": \"C\"}\n");
  put(dir / "set/notes.log", "not read");
  put(dir / "x.md", "X");
  CHECK(read_all({dir / "x.md", dir / "set"}, DocumentUnit::file) ==
        Documents{{"X", "x.md"}, {"Z", "z.txt"}, {"A", "a.txt"}, {"B", "b.txt"}, {"C", "c.jsonl:1"}});
  CHECK(read_all({dir / "set/b.txt", dir / "set/a.txt"}, DocumentUnit::file) ==
        Documents{{"B", "b.txt"}, {"A", "a.txt"}});
}

TEST_CASE("text_source: text that cannot be used is refused with its file and line") {
  struct Case {
    const char* file;
    std::string text;
    const char* message;
  };
  const auto bad = GENERATE(values<Case>({
      {"x.txt", "fine\nbad \xff here", "not UTF-8: byte 5 of the line ("},
      {"x.txt", "fine\nbad \xff here", "x.txt:2): convert the text to UTF-8"},
      {"x.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"", "not JSON: it ends too early, at byte 13"},
      {"x.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"", "x.jsonl:2)"},
      {"x.jsonl", "{\"text\": \"\xff\"}", "x.jsonl:1)"},
      {"x.jsonl", "{\"text\": \"\\ud800\"}", "not JSON: a lone surrogate"},
      {"x.jsonl", "[1]\n[2]", "not a JSON object"},
      {"x.jsonl", "[1]", "a JSON array, not JSON Lines"},
      {"x.txt", std::string(70000, 'a') + std::string("\nwith \0 in it", 13),
       "not text: a NUL at byte 6 of the line ("},
      {"x.jsonl", "{\"body\": \"a\"}", "the object has no \"text\""},
      {"x.jsonl", "{\"text\": 3}", "\"text\" is not a string"},
      {"x.jsonl", std::string("{\"text\": \"a\"}\0{}", 16), "not JSON"},
      {"x.jsonl", std::string(1'000'000, '['), "not JSON"},
      {"x.txt", "\x1f\x8b\x08", "the compressed file ends too early"},
      {"x.txt", "\x28\xb5\x2f\xfd", "the compressed file ends too early"},
      {"x.txt.gz", "plain text", "not a gzip file"},
      {"x.txt.gz", "", "not a gzip file"},
      {"x.jsonl.zst", "plain text", "not a Zstandard file"},
      {"x.gz", "\x1f\x8b\x08\xff", "the compressed file is damaged"},
      {"x.zst", "\x28\xb5\x2f\xfd\x08\x58\x11\x11\x11\x11\x11\x11", "the compressed file is damaged"},
  }));
  const TempDir dir;
  put(dir / bad.file, bad.text);
  CHECK_THAT(user_error_of([&] { read_all({dir / bad.file}, DocumentUnit::file); }),
             Catch::Contains(bad.message));
}

TEST_CASE("text_source: a malformed line after good ones is found when it is reached, also line by line") {
  const TempDir dir;
  put(dir / "x.txt", "good\n\xc3\nworse");
  TextSource source({dir / "x.txt"}, DocumentUnit::line);
  CHECK(source.next()->text == "good");
  CHECK_THAT(user_error_of([&] { static_cast<void>(source.next()); }), Catch::Contains("x.txt:2)"));
}

TEST_CASE("text_source: inputs that are no files are refused without waiting") {
  const TempDir dir;
  fs::create_directory(dir / "empty");
  REQUIRE(mkfifo((dir / "pipe.txt").c_str(), 0600) == 0);
  const auto error = [](const fs::path& path) {
    return user_error_of([&] { TextSource({path}, DocumentUnit::file); });
  };
  CHECK_THAT(error(dir / "absent.txt"), Catch::Contains("No such file"));
  CHECK_THAT(error(dir / "empty"), Catch::Contains("no text files and no JSON Lines"));
  CHECK_THAT(error(dir / "pipe.txt"), Catch::Contains("not a regular file"));
  CHECK_THAT(user_error_of([] { TextSource({}, DocumentUnit::file); }), Catch::Contains("no input"));
}

TEST_CASE("text_source: JSON Lines under any name give the documents of a .jsonl file, of whatever key") {
  const TempDir dir;
  const std::string lines = "{\"text\": \"a\", \"body\": \"x\"}\n{\"text\": \"b\", \"body\": \"y\"}\n";
  for (const char* const name : {"c4.00000-of-00002.json", "a.ndjson", "a.JSONL", "wiki_00", "a.txt"}) {
    put(dir / name, lines);
    const std::string where = name;
    CHECK(read_all({dir / name}, DocumentUnit::file) == Documents{{"a", where + ":1"}, {"b", where + ":2"}});
    TextSource other({dir / name}, DocumentUnit::line, {.text_key = "body"});
    CHECK(other.next()->text == "x");
  }
}

TEST_CASE("text_source: bad lines are skipped up to the number asked for, and the first ones are named") {
  const TempDir dir;
  put(dir / "a.jsonl", "{\"text\": NaN}\n{\"text\": \"a\"}\n{\"body\": \"b\"}\n\n{\"text\": \"c\"}\n");
  put(dir / "b.txt", "good\nbad \xff\nfine\n");
  const auto read = [&](std::int64_t limit) {
    TextSource source({dir / "a.jsonl", dir / "b.txt"}, DocumentUnit::line, {.skip_bad_lines = limit});
    std::string texts;
    while (const auto document = source.next()) texts += std::string(document->text) + ' ';
    return std::pair(texts, source.skipped());
  };
  const auto [texts, skipped] = read(3);
  CHECK(texts == "a c good fine ");
  CHECK(skipped.count == 3);
  CHECK_THAT(skipped.first.at(0), Catch::Contains("a.jsonl:1: not JSON: NaN"));
  CHECK_THAT(skipped.first.at(1), Catch::Contains("a.jsonl:3: the object has no \"text\""));
  CHECK_THAT(skipped.first.at(2), Catch::Contains("b.txt:2: not UTF-8: byte 5"));
  CHECK_THAT(user_error_of([&] { read(0); }),
             Catch::Contains("a.jsonl:1)") && Catch::Contains("--skip-bad-lines N"));
  CHECK_THAT(user_error_of([&] { read(2); }),
             Catch::Contains("not UTF-8: byte 5 of the line, after 2 bad lines were skipped") &&
                 Catch::Contains("b.txt:2)") && Catch::Contains("raise --skip-bad-lines"));
  CHECK_THAT(user_error_of([&] { read(-1); }), Catch::Contains("-1 bad lines"));
}

}  // namespace
}  // namespace granule
