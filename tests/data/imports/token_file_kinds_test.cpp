// Files that are not token files, or have other ids than their format says. Also documents that are too long
// for memory.
#include <cstring>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/imports/token_import.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;

const fs::path kFiles = fs::path(fixtures_dir()) / "imports";

template <class T>
std::string bytes_of(const std::vector<std::int64_t>& values) {
  std::string bytes;
  for (const std::int64_t value : values) {
    const auto narrow = static_cast<T>(value);
    std::string one(sizeof narrow, '\0');
    std::memcpy(one.data(), &narrow, sizeof narrow);
    bytes += one;
  }
  return bytes;
}

ImportOptions options_for(TokenFormat format, const fs::path& file, const fs::path& out,
                          std::int64_t vocab_size) {
  ImportOptions options;
  options.set.out = out;
  options.set.vocab_size = vocab_size;
  options.format = format;
  options.files = {file};
  return options;
}

std::string error_of(TokenFormat format, const std::string& bytes, std::int64_t vocab_size = 65536) {
  const TempDir dir;
  write_file(dir / "x.bin", bytes);
  const std::string error = user_error_of(
      [&] { import_tokens(options_for(format, dir / "x.bin", dir / "set", vocab_size), nullptr); });
  CHECK_FALSE(fs::exists(dir / "set"));
  CHECK_FALSE(fs::exists(dir / "set.partial"));
  return error;
}

TEST_CASE("token_file_kinds: files of other kinds are refused by name, with what to do") {
  using namespace std::string_literals;
  struct Case {
    std::string begin;
    const char *name, *advice;
  };
  const std::string safetensors = "\x20\0\0\0\0\0\0\0{\"x\":{}}"s;
  const std::vector<Case> cases{
      {"\x93NUMPY\x01\0"s, "a NumPy file", "astype('uint16').tofile"},
      {"PK\x03\x04\x14\0"s, "a zip archive", "unpack it"},
      {"\x1F\x8B\x08\0\0\0\0\0\0\x03"s, "a gzip file", "decompress it first"},
      {"\x1F\x8B\x08\x08\x12\x34\x56\x65\x02\x03x.bin"s, "a gzip file", "decompress it first"},
      {"\x28\xB5\x2F\xFD"s, "a Zstandard file", "decompress it first"},
      {"\xFD"s + "7zXZ\0"s, "an xz file", "decompress it first"},
      {"BZh91AY&SY"s, "a bzip2 file", "decompress it first"},
      {"\x89HDF\r\n\x1A\n"s, "an HDF5 file", "data.path takes a directory of such files"},
      {"MMIDIDX\0\0"s, "an index of Megatron", "give --format megatron"},
      {"PAR1\x15"s, "a Parquet file", "uint16"},
      {safetensors, "a safetensors file", "give token files"},
      {std::string(257, '\x01') + "ustar"s, "a tar archive", "unpack it"},
  };
  for (const TokenFormat format : {TokenFormat::nanogpt, TokenFormat::llmc}) {
    for (const Case& one : cases) {
      CAPTURE(one.name);
      const std::string error =
          error_of(format, one.begin + bytes_of<std::uint16_t>(std::vector<std::int64_t>(500, 9)));
      CHECK_THAT(error, Contains("this is no token file: it is "s + one.name) && Contains(one.advice));
    }
  }
  CHECK_THAT(error_of(TokenFormat::nanogpt, bytes_of<std::int32_t>({20240520, 3, 5, 0})),
             Contains("a file of llm.c, with a header of magic 20240520 and version 3"));
  CHECK_THAT(error_of(TokenFormat::nanogpt, bytes_of<std::int32_t>({20240326, 5, 1024, 50257})),
             Contains("a file of llm.c, with a header of magic 20240326"));
  std::string text = "{\"text\": \"Call me Ishmael. Some years ago - never mind how long precisely\"}\n";
  CHECK_THAT(error_of(TokenFormat::nanogpt, text + text), Contains("it is text") && Contains("data build"));
}

TEST_CASE("token_file_kinds: a compressed index or token file of Megatron's pair is called one") {
  const TempDir dir;
  for (const char* const name : {"x.idx", "x.bin"}) {
    for (const char* const each : {"x.idx", "x.bin"}) {
      fs::remove(dir / each);
      fs::copy_file(kFiles / ("megatron_u16" + fs::path(each).extension().string()), dir / each);
    }
    std::string gzip("\x1F\x8B\x08\0\0\0\0\0\0\x03", 10);
    gzip.resize(100);
    write_file(dir / name, gzip);
    CHECK_THAT(user_error_of([&] {
                 import_tokens(options_for(TokenFormat::megatron, dir / "x", dir / "set", 100), nullptr);
               }),
               Contains("a gzip file") && Contains(name));
  }
}

TEST_CASE("token_file_kinds: ids of 32 and 64 bits are not taken for 16 bits, whatever they are") {
  std::vector<std::int64_t> ids, bytes, wide;
  for (int i = 0; i < 200; ++i) {
    ids.push_back(1000 + i * 7919 % 50000);
    bytes.push_back(32 + i * 31 % 90);
    wide.push_back(i * 104729 % 128256);
  }
  for (const auto& values : {ids, bytes, wide, {50256, 3, 4, 128000}}) {
    CHECK_THAT(error_of(TokenFormat::nanogpt, bytes_of<std::uint32_t>(values)), Contains("ids of 32 bits"));
  }
  CHECK_THAT(error_of(TokenFormat::nanogpt, bytes_of<std::int64_t>(ids)), Contains("ids of 64 bits"));
  CHECK_THAT(error_of(TokenFormat::nanogpt, bytes_of<std::int64_t>(bytes)), Contains("ids of 64 bits"));
  std::vector<std::int64_t> big_endian;
  for (const std::int64_t id : wide) {
    big_endian.push_back(id >> 16);
    big_endian.push_back(id & 65535);
  }
  CHECK_THAT(error_of(TokenFormat::nanogpt, bytes_of<std::uint16_t>(big_endian)),
             Contains("big-endian ids of 32 bits"));
  // Few different ids are not a sign of another kind.
  const TempDir dir;
  write_file(dir / "few.bin",
             bytes_of<std::uint16_t>({1, 0, 2, 0, 3, 1, 0, 2, 3, 0, 1, 1, 2, 0, 4, 0, 1, 0}));
  CHECK(import_tokens(options_for(TokenFormat::nanogpt, dir / "few.bin", dir / "set", 5), nullptr)
            .train.tokens == 18);
}

TEST_CASE("token_file_kinds: small ids in every second place are ids of 16 bits") {
  for (const std::vector<std::int64_t>& ids : {std::vector<std::int64_t>{5, 7, 300, 2, 9, 11, 2, 13},
                                               {400, 2, 317, 2, 900, 3, 51, 2, 777, 4},
                                               {2, 5, 2, 300, 2, 9, 2, 11, 3, 13},
                                               {300, 0, 20, 7}}) {
    CAPTURE(ids);
    const TempDir dir;
    write_file(dir / "x.bin", bytes_of<std::uint16_t>(ids));
    const auto made =
        import_tokens(options_for(TokenFormat::nanogpt, dir / "x.bin", dir / "set", 1000), nullptr);
    CHECK(made.train.tokens == static_cast<std::int64_t>(ids.size()));
  }
}

TEST_CASE("token_file_kinds: a short text is no token file either") {
  CHECK_THAT(error_of(TokenFormat::nanogpt, "{\"text\":\"abcdef\"}\n"), Contains("it is text"));
}

TEST_CASE("token_file_kinds: a vocabulary that the type of a file cannot hold is refused") {
  const std::string ids = bytes_of<std::uint16_t>({4464, 5, 62464, 7});
  CHECK_THAT(error_of(TokenFormat::nanogpt, ids, 128256),
             Contains("the file's ids are at most 65535, which cannot be a vocabulary of 128256"));
  CHECK_THAT(error_of(TokenFormat::nanogpt, ids, 65537), Contains("at most 65535"));
  const TempDir dir;
  CHECK(import_tokens(options_for(TokenFormat::llmc, kFiles / "llmc_llama3.bin", dir / "a", 128256), nullptr)
            .train.tokens == 147);
  CHECK_THAT(user_error_of([&] {
               import_tokens(options_for(TokenFormat::llmc, kFiles / "llmc_gpt2.bin", dir / "b", 128256),
                             nullptr);
             }),
             Contains("at most 65535"));
  CHECK_THAT(user_error_of([&] {
               import_tokens(options_for(TokenFormat::megatron, kFiles / "megatron_i8", dir / "c", 129),
                             nullptr);
             }),
             Contains("at most 127"));
  // The vocabulary may be that of the model, which can be larger than that of the tokenizer.
  const auto tokenizer = open_tokenizer(fs::path(fixtures_dir()) / "tokenizers/base.json");
  ImportOptions options = options_for(TokenFormat::nanogpt, kFiles / "nanogpt.bin", dir / "d", 70000);
  CHECK(import_tokens(options, tokenizer.get()).train.tokens == 147);
}

TEST_CASE("token_file_kinds: the types of DeepSpeed's indexes are called by their names") {
  struct Case {
    std::uint8_t code;
    const char *file, *message;
  };
  const std::vector<Case> cases{
      {6, "megatron_u16", "type 6 is uint16 in the indexes of DeepSpeed, and float64 in Megatron's"},
      {7, "megatron_i32", "type 7 is uint32 in the indexes of DeepSpeed, and float32 in Megatron's"},
      {8, "megatron_i64", "type 8 is uint64 in the indexes of DeepSpeed, and uint16 in Megatron's"},
      {9, "megatron_i32", "type 9 is uint32 in the indexes of DeepSpeed, and nothing in Megatron's"},
  };
  for (const Case& one : cases) {
    const TempDir dir;
    fs::copy_file(kFiles / (std::string(one.file) + ".bin"), dir / "x.bin");
    std::string index = read_file(kFiles / (std::string(one.file) + ".idx"));
    index[17] = static_cast<char>(one.code);
    write_file(dir / "x.idx", index);
    const std::string error = user_error_of(
        [&] { import_tokens(options_for(TokenFormat::megatron, dir / "x", dir / "set", 100), nullptr); });
    CHECK_THAT(error, Contains(one.message) && !Contains("damaged"));
  }
}

/// The content of a data set, whatever its shards are: ids, documents and their bytes.
std::vector<std::int64_t> content_of(const fs::path& set, Split split) {
  std::vector<std::int64_t> content;
  const TokenSource source(set, split);
  for (const ShardReader& shard : source.shards()) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(shard.tokens()));
    shard.read(0, ids);
    content.insert(content.end(), ids.begin(), ids.end());
    content.push_back(-std::ssize(shard.document_offsets()));
    content.insert(content.end(), shard.document_bytes().begin(), shard.document_bytes().end());
  }
  return content;
}

TEST_CASE(
    "token_file_kinds: documents that fill a shard alone are written as they are read, and are the same "
    "documents") {
  const TempDir dir;
  // There are more tokens than a window has, with and without marks.
  std::vector<std::int64_t> ids;
  for (int i = 0; i < 700'001; ++i) ids.push_back(5 + i * 7919L % 600);
  for (const std::size_t end : {100U, 300'000U, 300'001U, 700'000U}) ids[end] = 1;
  write_file(dir / "x.bin", bytes_of<std::uint16_t>(ids));
  const auto tokenizer = open_tokenizer(fs::path(fixtures_dir()) / "tokenizers/base.json");
  const auto layout = GENERATE(Hdf5Layout::contiguous, Hdf5Layout::compressed);
  const bool marked = GENERATE(false, true);
  const double held_back = GENERATE(0.0, 0.3);
  const auto imported = [&](const char* out, std::int64_t shard_tokens) {
    ImportOptions options = options_for(TokenFormat::nanogpt, dir / "x.bin", dir / out, 700);
    options.set.layout = layout;
    options.set.val_fraction = held_back;
    options.set.shard_tokens = shard_tokens;
    if (marked) options.marks.end = 1;
    options.add_eos = AddEos::yes;
    return import_tokens(options, tokenizer.get());
  };
  const DataSetReport streamed = imported("streamed", 200'000), held = imported("held", 10'000'000);
  CHECK(streamed.train.tokens == held.train.tokens);
  CHECK(streamed.train.utf8_bytes == held.train.utf8_bytes);
  CHECK(streamed.val.documents == held.val.documents);
  CHECK(streamed.train.tokens + streamed.val.tokens == 700'001 + (ids.back() == 1 ? 0 : 1));
  for (const Split split : {Split::train, Split::val}) {
    if (split == Split::val && held_back == 0.0) continue;
    if (marked) {  // other shards, the same tokens
      CHECK(TokenSource(dir / "streamed", split).summary().utf8_bytes ==
            TokenSource(dir / "held", split).summary().utf8_bytes);
      continue;
    }
    CHECK(content_of(dir / "streamed", split) == content_of(dir / "held", split));
  }
}

}  // namespace
}  // namespace granule
