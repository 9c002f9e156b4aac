#include "data/shards/shard.hpp"

#include <array>
#include <csignal>
#include <fstream>
#include <thread>

#include <hdf5.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/error.hpp"
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

const fs::path kShards = fs::path(fixtures_dir()) / "shards";

std::vector<std::int32_t> all_tokens(const ShardReader& shard) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(shard.tokens()));
  shard.read(0, ids);
  return ids;
}

std::vector<std::int32_t> expected_tokens() {
  std::vector<std::int32_t> ids(100);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(7 * i % 50);
  return ids;
}

// Writes after `bytes` fail with EFBIG, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_CASE("shard: shards that other software wrote read the same whatever their integer type and layout") {
  struct Case {
    const char* file;
    bool mapped;
  };
  const auto [file, mapped] = GENERATE(values<Case>({{"u8", true},
                                                     {"u16", true},
                                                     {"u32", true},
                                                     {"i16", true},
                                                     {"i32", true},
                                                     {"i64", true},
                                                     {"latest", true},
                                                     {"user_block", true},
                                                     {"unaligned", true},
                                                     {"described", true},
                                                     {"big_endian", false},
                                                     {"gzip", false},
                                                     {"resizable", false},
                                                     {"compact", false}}));
  INFO(file);
  const ShardReader shard(kShards / (std::string(file) + ".h5"));
  CHECK(shard.mapped() == mapped);
  CHECK(all_tokens(shard) == expected_tokens());
  std::array<std::int32_t, 3> window{};
  shard.read(97, window);
  CHECK(window == std::array<std::int32_t, 3>{29, 36, 43});
  CHECK_NOTHROW(shard.check_ids(50));
  CHECK(user_error_of([&] {
          shard.check_ids(49);
        }).starts_with("token 7 has id 49, outside the vocabulary of 49"));
}

TEST_CASE("shard: a shard says what it is in root attributes, and may say nothing") {
  const ShardReader described(kShards / "described.h5");
  CHECK(described.attributes().format == "granule-shard/1");
  CHECK(described.attributes().vocab_size == 50);
  CHECK(described.attributes().bos_id == 1);
  CHECK(described.attributes().eos_id == 2);
  CHECK(described.attributes().tokenizer_sha256->size() == 64);
  CHECK(described.attributes().created_by == "someone else");
  CHECK(std::vector(described.document_offsets().begin(), described.document_offsets().end()) ==
        std::vector<std::int64_t>{0, 40, 100});
  CHECK(std::vector(described.document_bytes().begin(), described.document_bytes().end()) ==
        std::vector<std::int64_t>{120, 300});
  const ShardReader plain(kShards / "u16.h5");
  CHECK_FALSE(plain.attributes().vocab_size.has_value());
  CHECK(plain.document_offsets().empty());
}

TEST_CASE("shard: malformed shards are refused with a message that names the file") {
  struct Case {
    const char* file;
    const char* message;
  };
  const auto [file, message] = GENERATE(values<Case>({
      {"bad_rank", "/data has rank 2"},
      {"bad_float", "/data does not hold integers"},
      {"bad_name", "no dataset /data"},
      {"bad_group", "/data is a group, not a dataset"},
      {"bad_offsets", "/doc_offsets does not rise from 0 to 100"},
      {"bad_offsets_end", "/doc_offsets does not rise from 0 to 100"},
      {"bad_doc_bytes", "/doc_bytes has 2 entries, /doc_offsets 2"},
      {"bad_n_tokens", "attribute n_tokens is 101, /data holds 100"},
      {"bad_n_docs", "attribute n_docs is 2, /doc_offsets has 1"},
      {"bad_version", "the shard's format is granule-shard/2"},
      {"bad_attribute", "attribute vocab_size is not one integer"},
      {"bad_truncated", "not a readable HDF5 file"},
      {"make_shards.py", "not a readable HDF5 file"},
      {"absent", "No such file or directory"},
  }));
  const std::string name = fs::path(file).has_extension() ? file : std::string(file) + ".h5";
  const std::string error = user_error_of([&] { ShardReader{kShards / name}; });
  CHECK_THAT(error, Catch::Contains(message));
  CHECK_THAT(error, Catch::Contains(name));
}

TEST_CASE("shard: negative ids and chunks with a wrong checksum are found before training") {
  CHECK(user_error_of([] {
          ShardReader(kShards / "bad_negative.h5").check_ids(50);
        }).starts_with("token 3 has id -1"));
  CHECK_THAT(user_error_of([] { ShardReader(kShards / "bad_checksum.h5").check_ids(50); }),
             Catch::Contains("cannot read dataset /data"));
}

TEST_CASE("shard: a directory and a FIFO are refused without waiting") {
  const TempDir dir;
  CHECK_THAT(user_error_of([&] { ShardReader{dir.path()}; }), Catch::Contains("not a regular file"));
  REQUIRE(mkfifo((dir / "pipe.h5").c_str(), 0600) == 0);
  CHECK_THAT(user_error_of([&] { ShardReader{dir / "pipe.h5"}; }), Catch::Contains("not a regular file"));
}

TEST_CASE("shard: what is written is read back, mapped or compressed, in 16 or 32 bits") {
  const TempDir dir;
  const auto layout = GENERATE(Hdf5Layout::contiguous, Hdf5Layout::compressed);
  const std::int64_t vocab_size = GENERATE(65536, 65537);
  ShardWriter writer({vocab_size, -1, 2, "cafe"}, layout);
  std::vector<std::int32_t> expected;
  for (std::int32_t d = 0; d < 3; ++d) {
    std::vector<std::int32_t> ids(20000);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<std::int32_t>((i * 7919 + static_cast<std::size_t>(d)) %
                                         static_cast<std::size_t>(vocab_size));
    }
    writer.add_document(ids, 1000 + d);
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  writer.write(dir / "train-00000.h5");
  CHECK(writer.tokens() == 0);

  const ShardReader shard(dir / "train-00000.h5");
  CHECK(shard.mapped() == (layout == Hdf5Layout::contiguous));
  CHECK(shard.layout().element_size == (vocab_size > 65536 ? 4 : 2));
  CHECK(all_tokens(shard) == expected);
  CHECK(shard.attributes().n_tokens == 60000);
  CHECK(shard.attributes().n_docs == 3);
  CHECK(shard.attributes().bos_id == -1);
  CHECK(shard.attributes().tokenizer_sha256 == "cafe");
  CHECK(shard.document_bytes()[2] == 1002);
  CHECK_NOTHROW(shard.check_ids(vocab_size));
  CHECK_FALSE(fs::exists(dir / "train-00000.h5.tmp"));
}

TEST_CASE("shard: an empty shard is written and read") {
  const TempDir dir;
  test::write_shard(dir / "empty.h5", {}, 50);
  const ShardReader shard(dir / "empty.h5");
  CHECK(shard.tokens() == 0);
  CHECK(shard.document_offsets().size() == 1);
  CHECK_NOTHROW(shard.check_ids(1));
}

TEST_CASE("shard: a compressed shard has chunks of 16 Ki tokens, shuffled, gzip 4, with Fletcher checksums") {
  const TempDir dir;
  ShardWriter writer({50, 1, 2, ""}, Hdf5Layout::compressed);
  writer.add_document(std::vector<std::int32_t>(40'000, 7), 1);
  writer.write(dir / "a.h5");
  const hid_t file = H5Fopen((dir / "a.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t data = H5Dopen2(file, "data", H5P_DEFAULT), creation = H5Dget_create_plist(data);
  hsize_t chunk = 0;
  CHECK(H5Pget_chunk(creation, 1, &chunk) == 1);
  CHECK(chunk == 16384);
  REQUIRE(H5Pget_nfilters(creation) == 3);
  std::vector<H5Z_filter_t> filters;
  unsigned level = 0;
  for (unsigned i = 0; i < 3; ++i) {
    unsigned flags = 0, configuration = 0;
    std::size_t count = 1;
    unsigned value = 0;
    filters.push_back(H5Pget_filter2(creation, i, &flags, &count, &value, 0, nullptr, &configuration));
    if (filters.back() == H5Z_FILTER_DEFLATE) level = value;
  }
  CHECK(filters == std::vector<H5Z_filter_t>{H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE, H5Z_FILTER_FLETCHER32});
  CHECK(level == 4);
  H5Pclose(creation);
  H5Dclose(data);
  H5Fclose(file);
}

TEST_CASE("shard: the same documents are the same file, whenever they are written") {
  const auto layout = GENERATE(Hdf5Layout::contiguous, Hdf5Layout::compressed);
  const TempDir dir;
  for (const char* const name : {"a.h5", "b.h5"}) {
    ShardWriter writer({50, 1, 2, ""}, layout);
    writer.add_document(std::vector<std::int32_t>(1000, 7), 1);
    writer.write(dir / name);
    // HDF5 counts time in seconds.
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  }
  CHECK(read_file(dir / "a.h5") == read_file(dir / "b.h5"));
}

TEST_CASE("shard: a flipped bit in a compressed shard of ours is noticed") {
  const TempDir dir;
  ShardWriter writer({50, 1, 2, ""}, Hdf5Layout::compressed);
  std::vector<std::int32_t> ids(30000);
  std::uint32_t state = 1;  // random, so that the middle of the file has tokens
  for (auto& id : ids) id = static_cast<std::int32_t>(((state = state * 1664525U + 1013904223U) >> 16) % 50);
  writer.add_document(ids, 9);
  writer.write(dir / "x.h5");
  std::fstream file(dir / "x.h5", std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto middle = file.tellg() / 2;
  file.seekg(middle);
  const char flipped = static_cast<char>(file.get() ^ 4);
  file.seekp(middle);
  file.put(flipped);
  file.close();
  const ShardReader shard(dir / "x.h5");
  CHECK_THAT(user_error_of([&] { shard.check_ids(50); }), Catch::Contains("cannot read dataset /data"));
}

TEST_CASE("shard: a shard is never written over an existing file, and a failure leaves nothing") {
  const TempDir dir;
  std::ofstream(dir / "x.h5") << "precious";
  CHECK_THAT(user_error_of([&] {
               test::write_shard(dir / "x.h5", {{1, 2}}, 50);
             }),
             Catch::Contains("already exists"));
  CHECK(read_file(dir / "x.h5") == "precious");
  try {
    test::write_shard(dir / "absent" / "x.h5", {{1, 2}}, 50);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::io);
  }
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("shard: a writer given up on leaves no file") {
  const TempDir dir;
  {
    Hdf5Writer writer(dir / "x.h5");
    writer.dataset("data", DType::u16, std::vector<std::uint32_t>{1, 2, 3}, Hdf5Layout::contiguous);
    CHECK(fs::exists(dir / "x.h5.tmp"));
  }
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE("shard: a full disk while writing a shard is an I/O error and leaves nothing") {
  const TempDir dir;
  const FileSizeLimit limit(1 << 20);
  ShardWriter writer({50000, 1, 2, ""}, GENERATE(Hdf5Layout::contiguous, Hdf5Layout::compressed));
  std::vector<std::int32_t> ids(2'000'000);
  std::uint32_t state = 1;
  for (auto& id : ids) id = static_cast<std::int32_t>((state = state * 1664525U + 1013904223U) >> 8) % 50000;
  writer.add_document(ids, 9);
  try {
    writer.write(dir / "x.h5");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.code() == ExitCode::io);
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    CHECK_THAT(message, Catch::Contains("write failed: File too large ("));
  }
  CHECK(fs::is_empty(dir.path()));
}

}  // namespace
}  // namespace granule
