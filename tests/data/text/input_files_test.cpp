#include "data/text/input_files.hpp"

#include <algorithm>

#include <sys/stat.h>

#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::TempDir;
using test::user_error_of;
using Names = std::vector<std::string>;

void put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  write_file(path, text);
}

InputFiles find(const std::vector<fs::path>& inputs, const std::string& key = "text") {
  return find_input_files(inputs, key);
}

Names taken(const InputFiles& found, const fs::path& root) {
  Names names;
  for (const InputFile& file : found.files) names.push_back(file.path.lexically_relative(root));
  return names;
}

Names left_out(const InputFiles& found, const fs::path& root) {
  Names names;
  for (const LeftOut& file : found.left_out)
    names.push_back(file.path.lexically_relative(root).string() + ": " + file.why);
  return names;
}

constexpr const char* kLine = "{\"text\": \"a\"}\n";

TEST_CASE(
    "input_files: of a directory text and JSON Lines are taken, and what is left out is named with its "
    "reason") {
  const TempDir dir;
  for (const char* const name : {"A.TXT", "b.md", "c/d.Markdown", "e.text"}) put(dir / name, "text");
  for (const char* const name : {"f.ndjson", "g.JSONL", "h.json", "wiki_00", "i.part-1"})
    put(dir / name, kLine);
  put(dir / "meta.json", "{\n \"a\": 1\n}\n");
  put(dir / "other.json", "{\"content\": \"a\"}\n");
  put(dir / "nothing.json", " \n");
  put(dir / "README", "text");
  put(dir / "x.csv", "a,b\n");
  put(dir / "x.png", "\x89PNG\r\n\x1a\n");
  put(dir / "x.gz", "no gzip");
  const InputFiles found = find({dir.path()});
  CHECK(taken(found, dir.path()) == Names{"A.TXT", "b.md", "c/d.Markdown", "e.text", "f.ndjson", "g.JSONL",
                                          "h.json", "i.part-1", "wiki_00"});
  CHECK(left_out(found, dir.path()) ==
        Names{"README: its name does not say that it is text",
              "meta.json: JSON objects over several lines, not JSON Lines", "nothing.json: it is empty",
              "other.json: JSON without \"text\"", "x.csv: its name does not say that it is text",
              "x.gz: it cannot be read as text", "x.png: a PNG image, not text"});
  // All files whose names say JSON Lines count, whatever they contain.
  CHECK(taken(find({dir.path()}, "content"), dir.path()).size() == 7);
}

TEST_CASE("input_files: files and folders that are hidden are left out, unless they are named") {
  const TempDir dir;
  put(dir / "a.txt", "a");
  put(dir / ".hidden.txt", "b");
  put(dir / ".git/x.txt", "c");
  put(dir / "sub/.ipynb_checkpoints/a-checkpoint.txt", "d");
  const InputFiles found = find({dir.path()});
  CHECK(taken(found, dir.path()) == Names{"a.txt"});
  CHECK(left_out(found, dir.path()) == Names{".git: a hidden folder", ".hidden.txt: a hidden file",
                                             "sub/.ipynb_checkpoints: a hidden folder"});
  CHECK(taken(find({dir / ".hidden.txt", dir / ".git"}), dir.path()) == Names{".hidden.txt", ".git/x.txt"});
}

TEST_CASE("input_files: links to files and folders are followed, and each file is read once") {
  const TempDir dir;
  for (const char* const name : {"real/1.txt", "real/2.txt", "real/deep/3.txt", "corpus/own.txt"})
    put(dir / name, name);
  fs::create_directory_symlink("../real", dir / "corpus/linked");
  // This link points to nothing, because it goes up one folder too many.
  fs::create_symlink("../../real/1.txt", dir / "corpus/zz.txt");
  const InputFiles found = find({dir / "corpus"});
  CHECK(taken(found, dir / "corpus") ==
        Names{"linked/1.txt", "linked/2.txt", "linked/deep/3.txt", "own.txt"});
  CHECK(left_out(found, dir / "corpus") == Names{"zz.txt: a link that leads nowhere"});

  fs::create_symlink("../real/1.txt", dir / "corpus/again.txt");
  fs::create_directory_symlink("../real/deep", dir / "corpus/twice");
  fs::create_hard_link(dir / "corpus/own.txt", dir / "corpus/own2.txt");
  CHECK(taken(find({dir / "corpus"}), dir / "corpus") ==
        Names{"again.txt", "linked/2.txt", "linked/deep/3.txt", "own.txt"});
  CHECK(left_out(find({dir / "corpus"}), dir / "corpus") ==
        Names{"linked/1.txt: a file that is read already, under another name",
              "own2.txt: a file that is read already, under another name",
              "twice: a folder that is read already, under another name",
              "zz.txt: a link that leads nowhere"});
  // A file that is named twice is read twice.
  CHECK(find({dir / "real", dir / "real", dir / "real/1.txt"}).files.size() == 7);
}

TEST_CASE("input_files: links that lead in a circle, to themselves or nowhere are left out") {
  const TempDir dir;
  put(dir / "a.txt", "a");
  put(dir / "sub/b.txt", "b");
  fs::create_directory_symlink("..", dir / "sub/up");
  fs::create_directory_symlink(".", dir / "here");
  fs::create_symlink("self.txt", dir / "self.txt");
  fs::create_symlink("gone.txt", dir / "dangling.txt");
  fs::create_symlink("q.txt", dir / "p.txt");
  fs::create_symlink("p.txt", dir / "q.txt");
  REQUIRE(mkfifo((dir / "pipe.txt").c_str(), 0600) == 0);
  const InputFiles found = find({dir.path()});
  CHECK(taken(found, dir.path()) == Names{"a.txt", "sub/b.txt"});
  CHECK(left_out(found, dir.path()) ==
        Names{"dangling.txt: a link that leads nowhere",
              "here: a folder that is read already, under another name", "p.txt: a link that leads to itself",
              "pipe.txt: not a regular file", "q.txt: a link that leads to itself",
              "self.txt: a link that leads to itself",
              "sub/up: a folder that is read already, under another name"});
  CHECK_THAT(user_error_of([&] { find({dir / "self.txt"}); }), Contains("Too many levels of symbolic links"));
  CHECK_THAT(user_error_of([&] { find({dir / "dangling.txt"}); }), Contains("No such file"));
}

TEST_CASE("input_files: a directory without text, and a file that promises text and is none, are refused") {
  const TempDir dir;
  fs::create_directory(dir / "empty");
  CHECK_THAT(user_error_of([&] { find({dir / "empty"}); }),
             Contains("no text files and no JSON Lines (") && Contains("name the files"));
  put(dir / "binary/a.csv", "a,b");
  CHECK_THAT(user_error_of([&] { find({dir / "binary"}); }),
             Contains("left out: a.csv: its name does not say that it is text"));
  put(dir / "binary/a.txt", "%PDF-1.5");
  CHECK_THAT(user_error_of([&] { find({dir / "binary"}); }), Contains("a PDF document") && Contains("a.txt"));
  CHECK_THAT(user_error_of([&] { find({dir / "binary/a.txt"}); }), Contains("a PDF document"));
  CHECK(find({dir / "binary/a.csv"}).files.front().kind == TextKind::text);  // the file itself is named
}

}  // namespace
}  // namespace granule
