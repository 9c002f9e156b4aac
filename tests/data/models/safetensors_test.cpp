#include "data/models/safetensors.hpp"

#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include <sys/stat.h>

#include "core/error.hpp"
#include "data/models/safetensors_writer.hpp"
#include "data/models/tensor_set.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_disk.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::source_dir;
using granule::test::TempDir;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string length_prefix(std::uint64_t length) {
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text;
}

std::string raw_file(const std::string& header, const std::string& data) {
  return length_prefix(header.size()) + header + data;
}

/// One tensor entry of dtype U8.
std::string entry(const std::string& name, const std::string& shape, int begin, int end) {
  return fmt::format(R"("{}":{{"dtype":"U8","shape":{},"data_offsets":[{},{}]}})", name, shape, begin, end);
}

std::string object(const std::string& entries) {
  return fmt::format("{{{}}}", entries);
}

std::string refusal_of(const std::string& file) {
  try {
    (void)parse_safetensors(bytes_of(file), "some.safetensors");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
  return "accepted";
}

struct BadFile {
  const char* name;
  std::string file;
  const char* message;
};

const std::string kGood = object(entry("a", "[2]", 0, 2) + "," + entry("b", "[]", 2, 3));

std::vector<BadFile> bad_files() {
  const auto one = [](const std::string& text) { return raw_file(object(text), "xy"); };
  const std::string deep(1'000'000, '[');
  return {
      {"empty file", "", "0 bytes are too short"},
      {"7-byte file", "1234567", "7 bytes are too short"},
      {"header length 0", length_prefix(0) + "{}", "header length is 0"},
      {"header past the end", length_prefix(100) + "{}", "reaches past the end of the file of 10"},
      {"header over the limit", length_prefix(100'000'001) + "{}", "over the limit of 100000000"},
      {"header length 2^63", length_prefix(std::uint64_t{1} << 63) + "{}",
       "header length 9223372036854775808"},
      {"header length 2^64-1", length_prefix(UINT64_MAX) + "{}", "header length 18446744073709551615"},
      {"array instead of object", raw_file("[]", ""), "does not begin with '{'"},
      {"space before the object", raw_file(" {}", ""), "does not begin with '{'"},
      {"byte order mark", raw_file("\xef\xbb\xbf{}", ""), "does not begin with '{'"},
      {"not JSON", raw_file("{a}", ""), "syntax error (header of some.safetensors:1:2)"},
      {"JSON cut off", raw_file(R"({"a":)", ""), "it ends too early"},
      {"two JSON values", raw_file("{}{}", ""), "syntax error"},
      {"NUL padding", raw_file(std::string("{}\0\0", 4), ""), "syntax error"},
      {"not UTF-8", raw_file("{\"\xff\":1}", ""), "ill-formed UTF-8"},
      {"overlong UTF-8", raw_file("{\"\xc0\xaf\":1}", ""), "ill-formed UTF-8"},
      {"key given twice", one(entry("a", "[1]", 0, 1) + "," + entry("a", "[1]", 1, 2)),
       "the key \"a\" is given twice"},
      {"key given twice inside", one(R"("a":{"dtype":"U8","dtype":"F32","shape":[2],"data_offsets":[0,2]})"),
       "the key \"dtype\" is given twice"},
      {"nested arrays", raw_file(R"({"a":)" + deep, ""), "nested deeper than 64"},
      {"number 1e400", one(R"("a":{"dtype":"U8","shape":[1e400],"data_offsets":[0,2]})"), "out of range"},
      {"entry is no object", one(R"("a":3)"), "the entry of tensor 'a' is no object"},
      {"unknown key", one(R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"x":1})"),
       "has keys besides"},
      {"no dtype", one(R"("a":{"shape":[2],"data_offsets":[0,2]})"), "'a' has no dtype"},
      {"no shape", one(R"("a":{"dtype":"U8","data_offsets":[0,2]})"), "'a' has no shape"},
      {"no offsets", one(R"("a":{"dtype":"U8","shape":[2]})"), "'a' has no data_offsets"},
      {"dtype is a number", one(R"("a":{"dtype":8,"shape":[2],"data_offsets":[0,2]})"),
       "dtype that is no string"},
      {"unknown dtype", one(R"("a":{"dtype":"F99","shape":[2],"data_offsets":[0,2]})"),
       "\"F99\", which is unknown"},
      {"lower-case dtype", one(R"("a":{"dtype":"u8","shape":[2],"data_offsets":[0,2]})"),
       "\"u8\", which is unknown"},
      {"shape is a number", one(R"("a":{"dtype":"U8","shape":2,"data_offsets":[0,2]})"),
       "shape that is no array"},
      {"negative extent", one(entry("a", "[-2]", 0, 2)), "shape that is no count"},
      {"fractional extent", one(entry("a", "[2.0]", 0, 2)), "shape that is no count"},
      {"text in the shape", one(entry("a", "[\"2\"]", 0, 2)), "shape that is no count"},
      {"extent 2^63", one(entry("a", "[9223372036854775808]", 0, 2)), "shape that is no count"},
      {"extent 2^64", one(entry("a", "[18446744073709551616]", 0, 2)), "shape that is no count"},
      {"shape overflow", one(entry("a", "[4294967296,4294967296]", 0, 2)),
       "shape [4294967296, 4294967296], which overflows"},
      {"overflow to the right size", one(entry("a", "[2,9223372036854775807,3]", 0, 2)), "which overflows"},
      {"three offsets", one(R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,1,2]})"),
       "needs two data_offsets"},
      {"negative offset", one(entry("a", "[2]", -1, 1)), "data_offset that is no count"},
      {"offsets reversed", one(entry("a", "[2]", 2, 0)), "ends at 0, before it begins at 2"},
      {"offset past the end", one(entry("a", "[3]", 0, 3)), "ends at byte 3 of 2"},
      {"size differs from shape", one(entry("a", "[1]", 0, 2)),
       "takes 1 bytes by dtype and shape, 2 by its offsets"},
      {"size differs from dtype", one(R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,2]})"),
       "takes 8 bytes"},
      {"overlap", one(entry("a", "[2]", 0, 2) + "," + entry("b", "[1]", 1, 2)), "'b' overlaps"},
      {"same bytes twice", one(entry("a", "[2]", 0, 2) + "," + entry("b", "[2]", 0, 2)), "'b' overlaps"},
      {"hole at the start", one(entry("a", "[1]", 1, 2)), "a hole before tensor 'a'"},
      {"hole in the middle", raw_file(object(entry("a", "[1]", 0, 1) + "," + entry("b", "[1]", 2, 3)), "xyz"),
       "a hole before tensor 'b'"},
      {"empty tensor in a hole", one(entry("a", "[0]", 1, 1) + "," + entry("b", "[1]", 0, 1)),
       "1 bytes follow"},
      {"trailing bytes", one(entry("a", "[1]", 0, 1)), "1 bytes follow the last tensor"},
      {"data without tensors", raw_file("{}", "x"), "1 bytes follow the last tensor"},
      {"truncated data", raw_file(kGood, "xy"), "'b' ends at byte 3 of 2"},
      {"metadata is no object", raw_file(R"({"__metadata__":[]})", ""), "__metadata__ is no object"},
      {"metadata holds a number", raw_file(R"({"__metadata__":{"a":1}})", ""), "__metadata__ holds a value"},
      {"newline in a name", one(entry("a\\n", "[2]", 0, 2)), "control characters"},
  };
}

std::vector<TensorToSave> example_tensors() {
  static const std::vector<float> floats{1.5f, -2.0f, 3.25f, 0.0f, -0.0f, 1e-40f};
  static const std::vector<double> doubles{1.0 / 3.0};
  static const std::vector<std::uint8_t> small{1, 2, 3};
  return {tensor_of_bytes({"odd/ü", DType::u8, {3}}, std::as_bytes(std::span(small))),
          tensor_of_bytes({"a.weight", DType::f32, {2, 3}}, std::as_bytes(std::span(floats))),
          tensor_of_bytes({"empty", DType::f32, {4, 0}}, {}),
          tensor_of_bytes({"scalar", DType::f64, {}}, std::as_bytes(std::span(doubles)))};
}

}  // namespace

TEST_CASE("safetensors: a malformed safetensors file is refused with its own reason") {
  REQUIRE(refusal_of(raw_file(kGood, "xyz")) == "accepted");
  for (const BadFile& bad : bad_files()) {
    INFO(bad.name);
    CHECK_THAT(refusal_of(bad.file), Catch::Contains(bad.message) && Catch::Contains("some.safetensors"));
  }
}

TEST_CASE("safetensors: paths that are no regular file are refused without waiting") {
  const TempDir dir;
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(SafetensorsFile::open(dir / "fifo"), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(SafetensorsFile::open(dir.path()), Catch::Contains("not a regular file"));
  CHECK_THROWS_WITH(SafetensorsFile::open(dir / "absent"), Catch::Contains("No such file"));
  std::ofstream(dir / "empty").close();
  CHECK_THROWS_WITH(SafetensorsFile::open(dir / "empty"), Catch::Contains("0 bytes are too short"));
}

TEST_CASE("safetensors: what is written comes back: names, types, shapes, bytes, metadata, alignment") {
  const TempDir dir;
  const auto tensors = example_tensors();
  const WrittenTensors written =
      write_tensors(dir.path(), "model", tensors, 1000, ShardNames::plain_when_single);
  REQUIRE(written.files.size() == 1);
  CHECK(written.files[0].name == "model.safetensors");
  CHECK(written.files[0].size ==
        static_cast<std::int64_t>(std::filesystem::file_size(dir / "model.safetensors")));
  CHECK(written.files[0].xxh3 == xxh3_of_file(dir / "model.safetensors"));
  const auto file = SafetensorsFile::open(dir / "model.safetensors");
  CHECK(file.metadata() == Metadata{{"format", "pt"}});
  CHECK(file.tensors().size() == tensors.size());
  for (const TensorToSave& tensor : tensors) {
    INFO(tensor.spec.name);
    const auto view = file.find(tensor.spec.name);
    REQUIRE(view);
    CHECK(view->dtype == tensor.spec.dtype);
    CHECK(view->shape == tensor.spec.shape);
    CHECK(reinterpret_cast<std::uintptr_t>(view->bytes.data()) %
              static_cast<std::size_t>(size_of(view->dtype)) ==
          0);
    std::vector<std::byte> expected;
    for_each_piece(tensor, [&](auto piece) { expected.insert(expected.end(), piece.begin(), piece.end()); });
    CHECK(std::equal(expected.begin(), expected.end(), view->bytes.begin(), view->bytes.end()));
  }
  CHECK_FALSE(file.find("absent"));
}

TEST_CASE("safetensors: tensors are cut into files by size, a large one having a file to itself") {
  const TempDir dir;
  const std::vector<std::uint8_t> data(100, 7);
  std::vector<TensorToSave> tensors;
  for (const int size : {10, 20, 5, 100, 1, 29}) {
    tensors.push_back(tensor_of_bytes({fmt::format("t{}", size), DType::u8, {size}},
                                      std::as_bytes(std::span(data).first(static_cast<std::size_t>(size)))));
  }
  const WrittenTensors written = write_tensors(dir.path(), "m", tensors, 30, ShardNames::plain_when_single);
  CHECK(written.tensor_bytes == 165);
  CHECK(written.file_of == std::map<std::string, std::string>{{"t10", "m-00001-of-00004.safetensors"},
                                                              {"t20", "m-00001-of-00004.safetensors"},
                                                              {"t5", "m-00002-of-00004.safetensors"},
                                                              {"t100", "m-00003-of-00004.safetensors"},
                                                              {"t1", "m-00004-of-00004.safetensors"},
                                                              {"t29", "m-00004-of-00004.safetensors"}});
  for (const auto& [name, file] : written.file_of) CHECK(SafetensorsFile::open(dir / file).find(name));
}

TEST_CASE(
    "safetensors: a tensor larger than the staging buffer passes through it in pieces, converted as a whole "
    "would be") {
  std::vector<double> values(3'000'001);
  std::iota(values.begin(), values.end(), 0.1);
  const TensorToSave tensor = converted(
      tensor_of_bytes({"x", DType::f64, {3'000'001}}, std::as_bytes(std::span(values))), DType::f32);
  std::vector<std::byte> bytes;
  int pieces = 0;
  for_each_piece(tensor, [&](auto piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    ++pieces;
  });
  CHECK(pieces == 3);
  const std::vector<float> expected(values.begin(), values.end());
  REQUIRE(bytes.size() == expected.size() * sizeof(float));
  CHECK(std::memcmp(bytes.data(), expected.data(), bytes.size()) == 0);
}

TEST_CASE(
    "safetensors: the writer refuses tensors out of order, too many bytes, too few, and names given twice") {
  const TempDir dir;
  const std::vector<std::byte> bytes(8);
  const std::vector<TensorSpec> specs{{"a", DType::f32, {2}}, {"b", DType::f32, {1}}};
  {
    SafetensorsWriter writer(dir / "x", specs);
    CHECK_THROWS_WITH(writer.write("b", std::span(bytes).first(4)),
                      Catch::Contains("writing 'b', expected 'a'"));
    writer.write("a", std::span(bytes).first(4));
    CHECK_THROWS_WITH(writer.write("a", bytes), Catch::Contains("8 bytes for 'a', which misses 4"));
    CHECK_THROWS_WITH(writer.finish(), Catch::Contains("without all of 'a'"));
  }
  CHECK(std::filesystem::is_empty(dir.path()));  // a writer that was not finished leaves no file
  CHECK_THROWS_WITH(SafetensorsWriter(dir / "x", {specs[0], specs[0]}), Catch::Contains("given twice"));
  CHECK_THROWS_WITH(SafetensorsWriter(dir / "x", {{"a", DType::f64, {1LL << 40, 1LL << 40}}}),
                    Catch::Contains("'a'"));
}

TEST_CASE(
    "safetensors: 20000 mutations of a safetensors file are each accepted or refused, never anything else") {
  const TempDir dir;
  write_tensors(dir.path(), "model", example_tensors(), 1000, ShardNames::plain_when_single);
  std::ifstream stream(dir / "model.safetensors", std::ios::binary);
  const std::string original((std::istreambuf_iterator<char>(stream)), {});
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) { return random() % n; };
  const std::string tokens = "{}[],:\"\\0123456789-eEu\xff\x80";
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string file = original;
    for (std::size_t edits = 1 + below(4); edits > 0 && !file.empty(); --edits) {
      const std::size_t at = below(file.size());
      switch (below(5)) {
        case 0:
          file[at] = static_cast<char>(file[at] ^ (1 << below(8)));
          break;
        case 1:
          file[at] = tokens[below(tokens.size())];
          break;
        case 2:
          file.insert(at, 1, tokens[below(tokens.size())]);
          break;
        case 3:
          file.erase(at, 1 + below(4));
          break;
        default:
          file.insert(at, file.substr(below(file.size()), below(40)));
          break;
      }
    }
    // The copy on the heap has the exact size, so that the address sanitizer sees a read after the end.
    const std::vector<char> exact(file.begin(), file.end());
    try {
      std::size_t seen = 0;
      for (const auto& [name, view] : parse_safetensors(std::as_bytes(std::span(exact)), "mutated").tensors) {
        for (const std::byte byte : view.bytes) seen += static_cast<std::size_t>(byte);
      }
      REQUIRE(seen < 256 * exact.size());
    } catch (const Error& error) {
      ++refused;
      REQUIRE(error.code() == ExitCode::user);
    }
  }
  CHECK(refused > 10000);  // otherwise the mutations do not reach the header
}

TEST_CASE("safetensors: types of other models are read past, and named where numbers are asked for") {
  const std::vector<std::pair<std::string, std::size_t>> types{
      {"F8_E4M3", 4}, {"F8_E5M2", 4}, {"BOOL", 4}, {"I8", 4}, {"I16", 8}, {"U64", 32}, {"F4", 2}};
  for (const auto& [type, bytes] : types) {
    const TempDir dir;
    const std::string header = fmt::format(
        R"({{"a":{{"dtype":"{}","shape":[2,2],"data_offsets":[0,{}]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}}})",
        type, bytes, bytes, bytes + 4);
    const auto length = static_cast<std::uint64_t>(header.size());
    std::ofstream(dir / "x.safetensors", std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&length), 8) << header << std::string(bytes + 4, '\0');
    TensorSet set;
    set.add(SafetensorsFile::open(dir / "x.safetensors"));
    CHECK(set.find("a")->foreign == type);
    CHECK_NOTHROW(set.get("b", std::vector<std::int64_t>{1}));
    CHECK_THROWS_WITH(set.get("a", std::vector<std::int64_t>{2, 2}),
                      Catch::Contains("tensor 'a' holds " + type) && Catch::Contains("x.safetensors") &&
                          Catch::Contains("convert"));
  }
}

TEST_CASE("safetensors: an independent reader finds what was written") {
  if (std::system("python3 -c 'import struct' 2>/dev/null") != 0) {
    WARN("python3 is not installed: this check is left out");
    return;
  }
  const TempDir dir;
  write_tensors(dir.path(), "model", example_tensors(), 1000, ShardNames::plain_when_single);
  const std::string command =
      fmt::format("python3 {}/tests/fixtures/read_safetensors.py {} > {}", source_dir(),
                  (dir / "model.safetensors").string(), (dir / "out").string());
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream stream(dir / "out");
  const std::string out((std::istreambuf_iterator<char>(stream)), {});
  CHECK(out ==
        "__metadata__ {'format': 'pt'}\n"
        "scalar F64 [] 555555555555d53f\n"
        "a.weight F32 [2, 3] 0000c03f000000c000005040000000000000008"
        "0c2160100\n"
        "empty F32 [4, 0] \n"
        "odd/\xc3\xbc U8 [3] 010203\n");
}
