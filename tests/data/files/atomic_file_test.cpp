#include "data/files/atomic_file.hpp"

#include <fstream>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_disk.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::Fault;
using granule::test::FaultyDisk;
using granule::test::TempDir;

namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {(std::istreambuf_iterator<char>(stream)), {}};
}

int calls_of_one_write() {
  const TempDir dir;
  FaultyDisk disk(Fault::none, 0);
  write_file(dir / "f", "new", disk);
  return disk.calls();
}

}  // namespace

TEST_CASE(
    "atomic_file: a file appears with commit, replaces what was there, and its digest is known without "
    "reading") {
  const TempDir dir;
  std::ofstream(dir / "f") << "old";
  {
    AtomicFile file(dir / "f");
    file.write(std::as_bytes(std::span("abc", 3)));
    CHECK(content(dir / "f") == "old");
    const WrittenFile written = file.commit();
    CHECK(written.name == "f");
    CHECK(written.size == 3);
    CHECK(written.xxh3 == xxh3_of_file(dir / "f"));
  }
  CHECK(content(dir / "f") == "abc");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("atomic_file: without commit nothing remains of a file") {
  const TempDir dir;
  {
    AtomicFile file(dir / "f");
    file.write(std::as_bytes(std::span("abc", 3)));
    const auto entry = std::filesystem::directory_iterator(dir.path());
    CHECK(is_unfinished(entry->path().filename().string()));
  }
  CHECK(std::filesystem::is_empty(dir.path()));
  CHECK_FALSE(is_unfinished("f"));
  CHECK_FALSE(is_unfinished("f.part-1"));
}

TEST_CASE(
    "atomic_file: any failing call leaves the old file or the new one, whole, and is reported with exit code "
    "74") {
  const int calls = calls_of_one_write();
  REQUIRE(calls >= 7);  // create, write, fsync, close, rename, open the directory, fsync it
  for (const Fault fault : {Fault::eio, Fault::eio_sticky, Fault::enospc, Fault::enospc_sticky}) {
    for (int at = 0; at < calls; ++at) {
      INFO("call " << at << ", fault " << static_cast<int>(fault));
      const TempDir dir;
      std::ofstream(dir / "f") << "old";
      FaultyDisk disk(fault, at);
      try {
        write_file(dir / "f", "new", disk);
        FAIL("not reported");
      } catch (const Error& error) {
        CHECK(error.code() == ExitCode::io);
        CHECK_THAT(error.what(), Catch::Contains(dir.path().string()));
        CHECK_THAT(error.what(), Catch::Contains("Input/output error") || Catch::Contains("No space left"));
      }
      CHECK(disk.faults() >= 1);
      CHECK((content(dir / "f") == "old" || content(dir / "f") == "new"));
    }
  }
}

TEST_CASE("atomic_file: short and interrupted calls are repeated until the file is whole") {
  for (const Fault fault : {Fault::short_write, Fault::interrupted}) {
    for (int at = 0; at < calls_of_one_write(); ++at) {
      const TempDir dir;
      FaultyDisk disk(fault, at);
      write_file(dir / "f", "some longer text", disk);
      CHECK(content(dir / "f") == "some longer text");
    }
  }
}

TEST_CASE("atomic_file: a copy is exact and a source that cannot be read is the user's error") {
  const TempDir dir;
  const std::string text(3'000'000, 'x');
  write_file(dir / "a", text);
  CHECK(copy_durably(dir / "a", dir / "b").size == 3'000'000);
  CHECK(content(dir / "b") == text);
  CHECK_THROWS_WITH(copy_durably(dir / "absent", dir / "c"), Catch::Contains("cannot read the file"));
  CHECK_THROWS_WITH(copy_durably(dir.path(), dir / "c"), Catch::Contains("reading failed"));
}

TEST_CASE("atomic_file: a tree is removed with the chosen entry first, links not followed") {
  const TempDir dir;
  make_directory(dir / "tree", Disk::system());
  make_directory(dir / "tree" / "sub", Disk::system());
  make_directory(dir / "other", Disk::system());
  for (const char* name : {"tree/a", "tree/sub/b", "tree/z", "other/keep"}) write_file(dir / name, "x");
  std::filesystem::create_directory_symlink(dir / "other", dir / "tree" / "link");
  struct Recorder : Disk {
    std::vector<std::string> removed;
    int unlink(const char* path) override {
      removed.push_back(std::filesystem::path(path).filename());
      return Disk::unlink(path);
    }
  } disk;
  remove_tree(dir / "tree", "z", disk);
  CHECK(disk.removed.front() == "z");
  CHECK_FALSE(std::filesystem::exists(dir / "tree"));
  CHECK(std::filesystem::exists(dir / "other" / "keep"));
}
