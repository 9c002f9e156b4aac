// Shards whose datasets are composed of other files, or were only partly written. HDF5 itself reads zeros
// there.
#include <array>
#include <functional>

#include <hdf5.h>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/sampling/token_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hdf5_file.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::Hdf5File;
using test::TempDir;
using test::user_error_of;
using Values = std::vector<std::uint16_t>;

constexpr std::size_t kTokens = 3000;

/// Token i is 7 i + offset mod 499, so that pieces from different places differ.
Values ids(std::size_t size = kTokens, std::size_t offset = 0) {
  Values values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<std::uint16_t>((7 * i + offset) % 499);
  return values;
}

Values tokens_of(const fs::path& path) {
  const ShardReader shard(path);
  shard.check_ids(499);
  std::vector<std::int32_t> read(static_cast<std::size_t>(shard.tokens()));
  shard.read(0, read);
  return {read.begin(), read.end()};
}

std::string error_of(const fs::path& path) {
  std::string error = user_error_of([&] { ShardReader{path}; });
  CHECK(error.find('\n') == std::string::npos);
  CHECK_THAT(error, Contains(path.string()));
  return error;
}

/// Writes a pool with the ids under /train and /deep/train, and a file that is long enough to be mapped
/// itself.
void write_pool(const TempDir& dir, const std::function<void(const Hdf5File&)>& link) {
  const Hdf5File pool(dir / "pool.h5");
  pool.dataset("padding", Values(50));
  pool.dataset("train", ids());
  pool.group("deep");
  pool.dataset("deep/train", ids());
  const Hdf5File file(dir / "train-0.h5");
  file.dataset("unused", Values(20'000, 13));
  link(file);
}

TEST_CASE(
    "storage: tokens behind a link to another file are that file's, and never mapped from the linking one") {
  const std::vector<std::function<void(const Hdf5File&)>> links{
      [](const Hdf5File& f) { f.external_link("data", "pool.h5", "/train"); },
      [](const Hdf5File& f) { f.external_link("data", "pool.h5", "/deep/train"); },
      [](const Hdf5File& f) {
        f.external_link("pool", "pool.h5", "/");
        f.soft_link("data", "/pool/deep/train");
      },
      [](const Hdf5File& f) {
        f.external_link("pool", "pool.h5", "/deep");
        f.group("here");
        f.soft_link("here/link", "/pool/train");
        f.soft_link("data", "here/link");
      },
  };
  for (const auto& link : links) {
    const TempDir dir;
    write_pool(dir, link);
    CHECK(tokens_of(dir / "train-0.h5") == ids());
    const ShardReader shard(dir / "train-0.h5");
    CHECK_FALSE(shard.mapped());
    CHECK(shard.place() == Hdf5Place::other_files);
  }
}

TEST_CASE("storage: links within a file, compact and extendible datasets are read from it") {
  const TempDir dir;
  {
    const Hdf5File soft(dir / "soft.h5"), compact(dir / "compact.h5"), extendible(dir / "extendible.h5");
    soft.group("tokens");
    soft.dataset("tokens/all", ids());
    soft.soft_link("data", "tokens/all");
    compact.dataset("data", ids(), {.compact = true});
    extendible.dataset("data", ids(), {.chunk = 100, .extendible = true});
  }
  for (const char* const name : {"soft.h5", "compact.h5", "extendible.h5"}) {
    CAPTURE(name);
    CHECK(tokens_of(dir / name) == ids());
    CHECK(ShardReader(dir / name).place() == Hdf5Place::this_file);
  }
  CHECK(ShardReader(dir / "soft.h5").mapped());
}

TEST_CASE("storage: a link that leads nowhere is called one") {
  const TempDir dir;
  write_pool(dir, [](const Hdf5File& f) { f.external_link("data", "pool.h5", "/gone"); });
  CHECK_THAT(error_of(dir / "train-0.h5"), Contains("it is a link that leads to none"));
  fs::remove(dir / "pool.h5");
  CHECK_THAT(error_of(dir / "train-0.h5"), Contains("put the file that it leads to back"));
  {
    const Hdf5File inside(dir / "inside.h5"), group(dir / "group.h5");
    inside.soft_link("data", "gone");
    group.group("data");
  }
  CHECK_THAT(error_of(dir / "inside.h5"), Contains("it is a link that leads to none") && !Contains("reason"));
  CHECK_THAT(error_of(dir / "group.h5"), Contains("/data is a group, not a dataset"));
}

TEST_CASE("storage: a linked dataset that is incomplete in its own file is refused as well") {
  const TempDir dir;
  {
    const Hdf5File pool(dir / "pool.h5"), file(dir / "train-0.h5");
    pool.dataset("train", ids(), {.chunk = 100, .written = 1500});
    file.external_link("data", "pool.h5", "/train");
  }
  CHECK_THAT(error_of(dir / "train-0.h5"), Contains("15 of its 30 chunks were never written"));
}

TEST_CASE("storage: what was never written, or only in part, is incomplete") {
  struct Case {
    Hdf5File::Storage storage;
    const char* message;
  };
  const std::vector<Case> cases{
      {{.written = 0}, "/data is incomplete: nothing was ever written to it"},
      {{.chunk = 100, .written = 0}, "/data is incomplete: 30 of its 30 chunks were never written"},
      {{.chunk = 100, .written = 2899}, "1 of its 30 chunks were never written"},
      {{.chunk = 2999, .written = 2999}, "1 of its 2 chunks were never written"},
      {{.chunk = 100, .written = 1, .extendible = true}, "29 of its 30 chunks were never written"},
      {{.chunk = 100, .written = 200, .filter = H5Z_FILTER_SHUFFLE}, "28 of its 30 chunks"},
  };
  for (const auto version : {Hdf5File::Version::earliest, Hdf5File::Version::latest}) {
    for (const Case& one : cases) {
      CAPTURE(one.message);
      const TempDir dir;
      { Hdf5File(dir / "train-0.h5", version).dataset("data", ids(), one.storage); }
      CHECK_THAT(error_of(dir / "train-0.h5"), Contains(one.message));
    }
  }
}

TEST_CASE("storage: incomplete document offsets and bytes are refused as tokens are") {
  const TempDir dir;
  {
    const Hdf5File offsets(dir / "offsets.h5"), bytes(dir / "bytes.h5");
    offsets.dataset("data", ids(300));
    offsets.dataset("doc_offsets", {0, 100, 300}, {.written = 0});
    bytes.dataset("data", ids(300));
    bytes.dataset("doc_offsets", {0, 100, 300});
    bytes.dataset("doc_bytes", {500, 700}, {.chunk = 1, .written = 1});
  }
  CHECK_THAT(error_of(dir / "offsets.h5"), Contains("/doc_offsets is incomplete"));
  CHECK_THAT(error_of(dir / "bytes.h5"), Contains("/doc_bytes is incomplete: 1 of its 2 chunks"));
}

/// Writes the sources a.h5 and b.h5 of 1000 and 2000 tokens, and a row that `mappings` compose of them.
void write_row(const TempDir& dir, const std::vector<Hdf5File::Mapping>& mappings) {
  const Values all = ids();
  const Hdf5File a(dir / "a.h5"), b(dir / "b.h5"), row(dir / "train-0.h5");
  a.dataset("data", Values(all.begin(), all.begin() + 1000));
  b.dataset("data", Values(all.begin() + 1000, all.end()), {.chunk = 300});
  row.virtual_dataset("data", kTokens, mappings);
}

const std::vector<Hdf5File::Mapping> kWhole{{.begin = 0, .size = 1000, .file = "a.h5"},
                                            {.begin = 1000, .size = 2000, .file = "b.h5"}};

TEST_CASE("storage: a virtual dataset is read from its sources, which lie beside it") {
  const TempDir dir;
  // The first is in order. The second is in any order, in pieces, and with an absolute path.
  const std::vector<Hdf5File::Mapping> pieces{
      {.begin = 700, .size = 300, .file = "a.h5", .source_begin = 700},
      {.begin = 1000, .size = 2000, .file = (dir / "b.h5").string()},
      {.begin = 0, .size = 700, .file = "a.h5"}};
  const std::vector<Hdf5File::Mapping> whole_sources{
      {.begin = 0, .size = 1000, .file = "a.h5", .whole = true},
      {.begin = 1000, .size = 2000, .file = "b.h5", .whole = true}};
  write_row(dir, std::array{kWhole, pieces, whole_sources}.at(GENERATE(0U, 1U, 2U)));
  CHECK(tokens_of(dir / "train-0.h5") == ids());
  const ShardReader shard(dir / "train-0.h5");
  CHECK(shard.place() == Hdf5Place::other_files);
  std::vector<std::int32_t> window(400);
  shard.read(900, window);
  const Values all = ids();
  CHECK(std::equal(window.begin(), window.end(), all.begin() + 900));
  // A virtual dataset of virtual datasets, and one of a dataset in the same file.
  {
    const Hdf5File deeper(dir / "train-1.h5");
    deeper.dataset("own", Values(all.begin() + 2000, all.end()));
    deeper.virtual_dataset("data", kTokens,
                           {{.begin = 0, .size = 2000, .file = "train-0.h5"},
                            {.begin = 2000, .size = 1000, .file = ".", .dataset = "/own"}});
  }
  CHECK(tokens_of(dir / "train-1.h5") == all);
}

TEST_CASE("storage: a virtual dataset with a source that is missing, short or empty is incomplete") {
  using Damage = std::function<void(const TempDir&)>;
  struct Case {
    Damage damage;
    const char* message;
  };
  const std::vector<Case> cases{
      {[](const TempDir& d) { fs::remove(d / "b.h5"); }, "its source file b.h5 is missing"},
      {[](const TempDir& d) { Hdf5File(d / "a.h5").dataset("other", ids(1000)); },
       "dataset data of its source"},
      {[](const TempDir& d) { Hdf5File(d / "a.h5").dataset("data", ids(999)); },
       "has 999 elements where 1000 are wanted"},
      {[](const TempDir& d) { Hdf5File(d / "a.h5").dataset("data", ids(1000), {.written = 0}); },
       "nothing was ever written to it"},
      {[](const TempDir& d) { fs::resize_file(d / "a.h5", 100); }, "not a readable HDF5 file"},
      {[](const TempDir& d) {
         Hdf5File(d / "a.h5")
             .virtual_dataset("data", 1000, {{.begin = 0, .size = 1000, .file = "train-0.h5"}});
       },
       "8 deep"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.message);
    const TempDir dir;
    write_row(dir, kWhole);
    one.damage(dir);
    CHECK_THAT(user_error_of([&] { ShardReader{dir / "train-0.h5"}; }), Contains(one.message));
  }
}

TEST_CASE("storage: a virtual dataset must map each of its elements once") {
  const TempDir dir;
  auto mappings = kWhole;
  SECTION("a gap at the beginning") {
    mappings.erase(mappings.begin());
    write_row(dir, mappings);
    CHECK_THAT(error_of(dir / "train-0.h5"), Contains("no source is mapped to its elements from 0 on"));
  }
  SECTION("a gap at the end") {
    mappings.pop_back();
    write_row(dir, mappings);
    CHECK_THAT(error_of(dir / "train-0.h5"), Contains("no source is mapped to its elements from 1000 on"));
  }
  SECTION("a source that is selected as a whole and has grown") {
    mappings.front().whole = true;
    write_row(dir, mappings);
    CHECK(tokens_of(dir / "train-0.h5") == ids());
    { Hdf5File(dir / "a.h5").dataset("data", ids(1001)); }
    CHECK_THAT(error_of(dir / "train-0.h5"), Contains("has 1001 elements where 1000 are wanted"));
  }
  SECTION("two sources for one place") {
    mappings.push_back({.begin = 500, .size = 100, .file = "b.h5"});
    write_row(dir, mappings);
    CHECK_THAT(error_of(dir / "train-0.h5"), Contains("elements from 500 on are mapped twice"));
  }
}

TEST_CASE("storage: external raw files are read where they are whole, beside the file or by their path") {
  const TempDir dir;
  const bool absolute = GENERATE(false, true);
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());  // HDF5 writes files with relative names here
  const auto named = [&](const char* name) { return absolute ? (dir / name).string() : std::string(name); };
  { Hdf5File(dir / "train-0.h5").dataset("data", ids(), {.raw = {named("one.raw"), named("two.raw")}}); }
  fs::current_path(before);
  CHECK(tokens_of(dir / "train-0.h5") == ids());
  CHECK(ShardReader(dir / "train-0.h5").place() == Hdf5Place::other_files);
  fs::resize_file(dir / "two.raw", 2998);
  CHECK_THAT(error_of(dir / "train-0.h5"),
             Contains("/data is incomplete") && Contains("two.raw is cut short"));
  fs::remove(dir / "one.raw");
  CHECK_THAT(error_of(dir / "train-0.h5"), Contains("one.raw is missing or empty"));
}

TEST_CASE("storage: the digest of a source follows tokens that lie in other files") {
  const TempDir dir;
  write_pool(dir, [](const Hdf5File& f) { f.external_link("data", "pool.h5", "/train"); });
  const std::string before = TokenSource(dir.path(), Split::train).digest();
  CHECK(TokenSource(dir.path(), Split::train).digest() == before);
  { Hdf5File(dir / "pool.h5").dataset("train", ids(kTokens, 1)); }
  CHECK(TokenSource(dir.path(), Split::train).digest() != before);
}

std::size_t pass_through(unsigned, std::size_t, const unsigned*, std::size_t bytes, std::size_t*, void**) {
  return bytes;
}

std::size_t gives_up(unsigned, std::size_t, const unsigned*, std::size_t, std::size_t*, void**) {
  return 0;
}

TEST_CASE("storage: chunks that an optional filter left as they were are read without it") {
  constexpr int kFilter = 301;
  const H5Z_class2_t filter{H5Z_CLASS_T_VERS, kFilter, 1, 1, "gives-up", nullptr, nullptr, gives_up};
  const TempDir dir;
  REQUIRE(H5Zregister(&filter) >= 0);
  {
    Hdf5File(dir / "train-0.h5")
        .dataset("data", ids(), {.chunk = 100, .filter = kFilter, .optional_filter = true});
  }
  REQUIRE(H5Zunregister(kFilter) >= 0);
  CHECK(tokens_of(dir / "train-0.h5") == ids());
}

TEST_CASE("storage: a filter that is not on this machine is named, and not called damage") {
  constexpr int kFilter = 300;  // one of the numbers for tests
  const H5Z_class2_t filter{H5Z_CLASS_T_VERS, kFilter, 1, 1, "tidy-zip", nullptr, nullptr, pass_through};
  const TempDir dir;
  REQUIRE(H5Zregister(&filter) >= 0);
  // Chunks may have been stored without an optional filter. So only reading shows that one is needed.
  const bool optional = GENERATE(false, true);
  {
    Hdf5File(dir / "train-0.h5")
        .dataset("data", ids(), {.chunk = 100, .filter = kFilter, .optional_filter = optional});
  }
  CHECK(tokens_of(dir / "train-0.h5") == ids());
  REQUIRE(H5Zunregister(kFilter) >= 0);
  const std::string error = user_error_of([&] { tokens_of(dir / "train-0.h5"); });
  CHECK_THAT(error,
             Contains("compressed with filter 300 (tidy-zip), which HDF5 does not have on this machine"));
  CHECK_THAT(error, Contains("HDF5_PLUGIN_PATH") && !Contains("damaged"));
}

}  // namespace
}  // namespace granule
