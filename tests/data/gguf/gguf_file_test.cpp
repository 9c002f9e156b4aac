// GGUF files, written and read. The files are made by hand where they are hostile.
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "core/error.hpp"
#include "data/gguf/gguf_reader.hpp"
#include "data/gguf/gguf_writer.hpp"
#include "data/models/float_convert.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::TempDir;
using granule::test::text_of;

namespace {

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
std::string text(const std::string& value) {
  return raw<std::uint64_t>(value.size()) + value;
}
std::string opening(std::uint64_t tensors, std::uint64_t pairs) {
  return "GGUF" + raw<std::uint32_t>(3) + raw(tensors) + raw(pairs);
}
std::string tensor_info(const std::string& name, const std::vector<std::uint64_t>& extents,
                        std::uint32_t type, std::uint64_t offset) {
  std::string bytes = text(name) + raw(static_cast<std::uint32_t>(extents.size()));
  for (const std::uint64_t extent : extents) bytes += raw(extent);
  return bytes + raw(type) + raw(offset);
}
std::string padded(std::string bytes) {
  bytes.resize((bytes.size() + 31) / 32 * 32);
  return bytes;
}
std::string number_pair(const std::string& key, std::uint32_t value) {
  return text(key) + raw<std::uint32_t>(4) + raw(value);
}

std::string refusal_of(const std::string& file) {
  try {
    (void)parse_gguf(std::as_bytes(std::span(file)), "some.gguf");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
  return "accepted";
}

std::vector<float> random_values(std::size_t count, float scale = 1.0F) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

TensorToSave tensor(const std::string& name, std::vector<std::int64_t> shape,
                    const std::vector<float>& values) {
  return tensor_of_bytes({name, DType::f32, std::move(shape)}, std::as_bytes(std::span(values)));
}

/// A file of one tensor of two float32, valid as it is.
std::string valid_file() {
  return padded(opening(1, 1) + number_pair("a.key", 5) + tensor_info("t", {2}, 0, 0)) + raw(1.0F) +
         raw(2.0F);
}

}  // namespace

TEST_CASE("gguf_file: what is written is read back, keys of every type and tensors of every type") {
  const TempDir temp;
  const std::vector<float> a = random_values(3 * 64), b = random_values(5);
  const std::vector<std::string> words{"one", "", "drei\n"};
  GgufMetadata metadata;
  metadata.add("number", std::uint32_t{4'000'000'000U});
  metadata.add("real", 0.1F);
  metadata.add("flag", true);
  metadata.add("word", "ü");
  metadata.add("words", std::span<const std::string>(words));
  metadata.add("reals", std::span<const float>(b));
  metadata.add("wholes", std::span<const std::int32_t>(std::vector<std::int32_t>{-1, 7}));
  const std::vector<GgufTensor> tensors{{tensor("q", {3, 64}, a), GgufType::q8_0},
                                        {tensor("b", {5}, b), GgufType::f32},
                                        {tensor("h", {3, 2, 32}, a), GgufType::f16},
                                        {tensor("g", {3, 64}, a), GgufType::bf16}};
  write_gguf(temp / "x.gguf", metadata, tensors);
  const GgufFile file = GgufFile::open(temp / "x.gguf");
  CHECK(file.value("number") == 4'000'000'000U);
  CHECK(file.value("real").get<float>() == 0.1F);
  CHECK(file.value("flag") == true);
  CHECK(file.value("word") == "ü");
  CHECK(file.value("words") == nlohmann::json(words));
  CHECK(file.value("wholes") == nlohmann::json{-1, 7});
  CHECK(file.value("reals").size() == 5);
  CHECK(file.value("missing").is_null());
  REQUIRE(file.find("h") != nullptr);
  CHECK(file.find("h")->shape == std::vector<std::int64_t>{3, 2, 32});
  CHECK(file.find("nothing") == nullptr);

  const auto worst = [&](const char* name, const std::vector<float>& expected) {
    std::vector<float> found(expected.size());
    read_floats(*file.find(name), 0, found);
    float most = 0.0F;
    for (std::size_t i = 0; i < found.size(); ++i) most = std::max(most, std::abs(found[i] - expected[i]));
    return most;
  };
  CHECK(worst("b", b) == 0.0F);
  CHECK(worst("h", a) < 4.0F / 2048);  // half an ulp of values below 4
  CHECK(worst("g", a) < 4.0F / 256);
  CHECK(worst("q", a) < 4.0F / 127);
  std::vector<float> part(32), whole(a.size());
  read_floats(*file.find("q"), 64, part);
  read_floats(*file.find("q"), 0, whole);
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 64));
}

TEST_CASE("gguf_file: the bytes of a file are those of the format") {
  const TempDir temp;
  const std::vector<float> values{1.0F, 2.0F};
  GgufMetadata metadata;
  metadata.add("a.key", std::uint32_t{5});
  write_gguf(temp / "x.gguf", metadata, std::vector<GgufTensor>{{tensor("t", {2}, values), GgufType::f32}});
  CHECK(text_of(temp / "x.gguf") == padded(valid_file()));
  const std::vector<float> matrix(6);
  write_gguf(temp / "m.gguf", {}, std::vector<GgufTensor>{{tensor("m", {2, 3}, matrix), GgufType::f32}});
  // The extent of a row comes first.
  CHECK(text_of(temp / "m.gguf").substr(0, 24 + 9 + 4 + 16) ==
        opening(1, 0) + text("m") + raw<std::uint32_t>(2) + raw<std::uint64_t>(3) + raw<std::uint64_t>(2));
}

TEST_CASE("gguf_file: q8_0 rounds as ggml does") {
  const TempDir temp;
  std::vector<float> values(64);
  values[0] = 127.0F;
  values[1] = 2.5F;  // half goes away from zero
  values[2] = -2.5F;
  values[3] = 126.6F;
  values[32] = 1.0F;  // d = 1/127, which f16 does not have
  values[33] = 0.5F;
  write_gguf(temp / "x.gguf", {}, std::vector<GgufTensor>{{tensor("t", {64}, values), GgufType::q8_0}});
  const GgufFile file = GgufFile::open(temp / "x.gguf");
  const auto bytes = file.find("t")->bytes;
  REQUIRE(bytes.size() == 68);
  const auto quant = [&](std::size_t at) { return static_cast<int>(static_cast<std::int8_t>(bytes[at])); };
  CHECK(quant(2) == 127);
  CHECK(quant(3) == 3);
  CHECK(quant(4) == -3);
  CHECK(quant(5) == 127);
  float scale = 0.0F;
  floats_from_bytes(DType::f16, bytes.subspan(34, 2), std::span(&scale, 1));
  CHECK(scale == Approx(1.0 / 127).epsilon(1.0 / 2048));
  CHECK(quant(36) == 127);
  CHECK(quant(37) == 64);  // 0.5 · 127 = 63.5
  CHECK(quant(38) == 0);
}

TEST_CASE("gguf_file: a value that a type cannot hold is refused, and no file is left") {
  const TempDir temp;
  for (const auto& [type, value] : {std::pair{GgufType::f16, 7e4F}, std::pair{GgufType::q8_0, 1e8F},
                                    std::pair{GgufType::q8_0, std::nanf("")}}) {
    const std::vector<float> values(32, value);
    const std::vector<GgufTensor> tensors{{tensor("big", {32}, values), type}};
    CHECK_THROWS_WITH(write_gguf(temp / "x.gguf", {}, tensors),
                      Catch::Contains("tensor 'big' has a value that " + std::string(name_of(type))));
  }
  CHECK(std::filesystem::is_empty(temp.path()));
}

TEST_CASE("gguf_file: hostile files are refused by what is wrong with them") {
  REQUIRE(refusal_of(valid_file()) == "accepted");
  REQUIRE(refusal_of(padded(valid_file())) == "accepted");
  struct Row {
    const char* name;
    std::string file, message;
  };
  const std::string data = raw(1.0F) + raw(2.0F);
  const auto one = [&](const std::string& info) { return padded(opening(1, 0) + info) + data; };
  const auto pair = [&](const std::string& bytes) { return opening(0, 1) + bytes + std::string(40, '\0'); };
  const std::uint64_t huge = std::uint64_t{1} << 63U, most = ~std::uint64_t{0};
  const std::vector<Row> rows{
      {"empty", "", "ends inside the magic"},
      {"another kind", "PK\3\4 and so on", "does not begin with GGUF"},
      {"version 2", "GGUF" + raw<std::uint32_t>(2) + raw<std::uint64_t>(0) + raw<std::uint64_t>(0),
       "version 2"},
      {"big-endian", "GGUF" + raw<std::uint32_t>(0x03000000) + std::string(16, '\0'), "version 50331648"},
      {"cut in the counts", "GGUF" + raw<std::uint32_t>(3) + raw<std::uint64_t>(0), "ends inside keys"},
      {"too many tensors", opening(most, 0), "tensors do not fit"},
      {"too many keys", opening(0, huge), "keys do not fit"},
      {"a key that never ends", pair(raw(most)), "ends inside a key"},
      {"an empty key", pair(text("") + raw<std::uint32_t>(4) + raw<std::uint32_t>(0)), "a key is empty"},
      {"a control character", pair(text("a\nb") + raw<std::uint32_t>(4) + raw<std::uint32_t>(0)), "a key is"},
      {"an unknown type of value", pair(text("k") + raw<std::uint32_t>(13)), "no type of values 13"},
      {"a boolean of 2", pair(text("k") + raw<std::uint32_t>(7) + "\2"), "a boolean is 2"},
      {"a text that never ends", pair(text("k") + raw<std::uint32_t>(8) + raw(huge)), "ends inside a value"},
      {"an array that never ends",
       pair(text("k") + raw<std::uint32_t>(9) + raw<std::uint32_t>(8) + raw(huge)), "do not fit"},
      {"an array of arrays",
       pair(text("k") + raw<std::uint32_t>(9) + raw<std::uint32_t>(9) + raw<std::uint64_t>(1)),
       "holds arrays"},
      {"a key twice", opening(0, 2) + number_pair("k", 1) + number_pair("k", 1), "'k' is given twice"},
      {"an alignment of 0", padded(opening(0, 1) + number_pair("general.alignment", 0)), "no multiple of 8"},
      {"an alignment of 7", padded(opening(0, 1) + number_pair("general.alignment", 7)), "no multiple of 8"},
      {"an alignment of 2³¹", padded(opening(0, 1) + number_pair("general.alignment", 1U << 31U)),
       "no multiple of 8"},
      {"no dimensions", one(tensor_info("t", {}, 0, 0)), "has 0 dimensions"},
      {"five dimensions", one(tensor_info("t", {1, 1, 1, 1, 2}, 0, 0)), "has 5 dimensions"},
      {"an extent of 0", one(tensor_info("t", {0}, 0, 0)), "an extent of 0"},
      {"an extent of 2⁶³", one(tensor_info("t", {huge}, 0, 0)), "an extent of"},
      {"a product that overflows", one(tensor_info("t", {1U << 31U, 1U << 31U, 1U << 31U}, 0, 0)),
       "cannot be"},
      {"an unknown type", one(tensor_info("t", {2}, 12, 0)), "has type 12"},
      {"half a block", one(tensor_info("t", {2}, 8, 0)), "cannot be of type q8_0"},
      {"a place past the end", one(tensor_info("t", {2}, 0, most)), "begins at"},
      {"a hole", one(tensor_info("t", {2}, 0, 32)), "begins at 32, expected 0"},
      {"longer than the file", one(tensor_info("t", {3}, 0, 0)), "reaches past"},
      {"cut in the data", valid_file().substr(0, valid_file().size() - 1), "reaches past"},
      {"a tail", padded(valid_file()) + "x", "follow the last tensor"},
      {"two of a name",
       padded(padded(opening(2, 0) + tensor_info("t", {2}, 0, 0) + tensor_info("t", {2}, 0, 32)) + data) +
           data,
       "'t' is there twice"},
      {"two in one place",
       padded(opening(2, 0) + tensor_info("t", {2}, 0, 0) + tensor_info("u", {2}, 0, 0)) + data,
       "begins at 0"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK_THAT(refusal_of(row.file), Catch::Contains(row.message) && Catch::Contains("some.gguf"));
  }
}

TEST_CASE("gguf_file: a file that is cut anywhere is refused, and no flipped byte does worse than that") {
  const std::string whole = valid_file();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK(refusal_of(whole.substr(0, size)) != "accepted");
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      (void)refusal_of(flipped);  // it returns, whatever it says
    }
  }
}
