#ifdef GRANULE_WITH_SENTENCEPIECE  // a GGUF file holds a tokenizer
// Mistakes are planted into exports. Each must be found when the export is read back.
#include "apps/exports/read_back.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "apps/exports/export_model.hpp"
#include "apps/exports/gguf_model.hpp"
#include "core/error.hpp"
#include "data/models/float_convert.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/made_model.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// A model and one export of it, which a test damages.
struct Exported {
  TempDir temp;
  fs::path model = temp / "model", out;

  Exported(ExportFormat format, StoredType type) : out(temp / "out"), type_(type) {
    write_model(model, made_model());
    (void)export_model({model, out, format, type, ReadBackCheck::yes});
    file = format == ExportFormat::gguf ? out : out / "model.safetensors";
    bytes = text_of(file);
  }

  /// What the comparison says of the file with these bytes.
  std::string verdict(const std::string& damaged) {
    write_text(file, damaged);
    const ModelFiles source = ModelFiles::open(model);
    try {
      if (file == out) (void)compare_with_model(source, GgufModel(out), type_, out);
      if (file != out) (void)compare_with_model(source, DirectoryReadBack(out), type_, out);
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::io);
      return error.what();
    }
    return "equal";
  }

  fs::path file;
  std::string bytes;

 private:
  StoredType type_;
};

/// Changes the first element of the last tensor of a file with f32 tensors.
void set_last_value(const fs::path& file, float value) {
  std::string bytes = text_of(file);
  const auto whole = std::as_bytes(std::span(bytes));
  const auto last = parse_safetensors(whole, "x").tensors.back().view.bytes;
  std::memcpy(bytes.data() + (last.data() - whole.data()), &value, sizeof(value));
  write_text(file, bytes);
}

std::size_t place_of(const Exported& exported, std::span<const std::byte> part,
                     std::span<const std::byte> whole) {
  REQUIRE(whole.size() == exported.bytes.size());
  return static_cast<std::size_t>(part.data() - whole.data());
}

/// Where the bytes of a tensor begin in a GGUF file.
std::size_t place_in_gguf(const Exported& exported, const char* name) {
  const auto whole = std::as_bytes(std::span(exported.bytes));
  for (const GgufView& view : parse_gguf(whole, "x").tensors) {
    if (view.name == name) return place_of(exported, view.bytes, whole);
  }
  FAIL(name);
  return 0;
}

std::size_t place_in_safetensors(const Exported& exported, const char* name) {
  const auto whole = std::as_bytes(std::span(exported.bytes));
  for (const NamedTensor& tensor : parse_safetensors(whole, "x").tensors) {
    if (tensor.name == name) return place_of(exported, tensor.view.bytes, whole);
  }
  FAIL(name);
  return 0;
}

void scale_bf16(std::string& bytes, std::size_t begin, std::size_t count, float factor) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto place = std::as_writable_bytes(std::span(bytes)).subspan(begin + 2 * i, 2);
    float value = 0.0F;
    floats_from_bytes(DType::bf16, place, std::span(&value, 1));
    value *= factor;
    bytes_from_floats(std::span<const float>(&value, 1), DType::bf16, place);
  }
}

/// Replaces the number after a key of a GGUF file.
template <class T>
std::string with_key(std::string bytes, const std::string& key, T value) {
  const auto at = bytes.find(key);
  REQUIRE(at != std::string::npos);
  std::memcpy(bytes.data() + at + key.size() + 4, &value, sizeof(value));
  return bytes;
}

}  // namespace

TEST_CASE("read_back: rows of q or k in a wrong order are found in every type") {
  for (const StoredType type : {StoredType::f32, StoredType::bf16, StoredType::q8_0}) {
    Exported exported(ExportFormat::gguf, type);
    CHECK(exported.verdict(exported.bytes) == "equal");
    const std::size_t row = type == StoredType::f32 ? 256 : type == StoredType::bf16 ? 128 : 68;
    for (const char* const name : {"blk.2.attn_q.weight", "blk.0.attn_k.weight"}) {
      std::string swapped = exported.bytes;
      const std::size_t at = place_in_gguf(exported, name);
      std::swap_ranges(swapped.begin() + std::ptrdiff_t(at), swapped.begin() + std::ptrdiff_t(at + row),
                       swapped.begin() + std::ptrdiff_t(at + row));
      CHECK_THAT(exported.verdict(swapped),
                 Contains("the export was removed, because it is not the model") && Contains("_proj.weight"));
    }
  }
}

TEST_CASE("read_back: a forgotten factor of the shared expert is found in bf16") {
  Exported exported(ExportFormat::qwen2moe, StoredType::bf16);
  std::string halved = exported.bytes;
  scale_bf16(halved, place_in_safetensors(exported, "model.layers.1.mlp.shared_expert.down_proj.weight"),
             64 * 64, 0.5F);
  CHECK_THAT(exported.verdict(halved), Contains("shared_experts.down_proj"));
}

TEST_CASE("read_back: wrong keys of a GGUF file are found, by themselves or by the logits") {
  Exported exported(ExportFormat::gguf, StoredType::f32);
  const std::string& bytes = exported.bytes;
  CHECK_THAT(exported.verdict(with_key(bytes, "deepseek.attention.layer_norm_rms_epsilon", 1e-5F)),
             Contains("rms_norm_eps"));
  CHECK_THAT(exported.verdict(with_key(bytes, "deepseek.rope.freq_base", 1e6F)), Contains("rope_theta"));
  CHECK_THAT(exported.verdict(with_key(bytes, "deepseek.expert_used_count", std::uint32_t{3})),
             Contains("its logits differ"));
  CHECK_THAT(exported.verdict(with_key(bytes, "deepseek.context_length", std::uint32_t{64})),
             Contains("128 positions, in the export 64"));
}

TEST_CASE("read_back: one bit of one value is found in float32, and one step of one value in q8_0") {
  Exported exact(ExportFormat::gguf, StoredType::f32);
  std::string flipped = exact.bytes;
  flipped[place_in_gguf(exact, "blk.1.ffn_up_exps.weight") + 4] ^= 1;
  CHECK_THAT(exact.verdict(flipped), Contains("experts.0.up_proj.weight"));
  Exported rounded(ExportFormat::gguf, StoredType::q8_0);
  std::string stepped = rounded.bytes;
  char& value = stepped[place_in_gguf(rounded, "blk.1.ffn_up_exps.weight") + 2];
  value = static_cast<char>(value > 0 ? value - 2 : value + 2);
  CHECK_THAT(rounded.verdict(stepped), Contains("experts.0.up_proj.weight"));
}

TEST_CASE("read_back: a number of an export that is not finite is the export's fault") {
  for (const ExportFormat format : {ExportFormat::hf, ExportFormat::qwen2moe}) {
    Exported exported(format, StoredType::f32);
    set_last_value(exported.file, std::numeric_limits<float>::quiet_NaN());
    CHECK_THAT(exported.verdict(text_of(exported.file)), Contains("it is not the model") && Contains("nan"));
  }
}

TEST_CASE("read_back: the export of a model that is not finite is removed") {
  const TempDir temp;
  write_model(temp / "model", made_model());
  set_last_value(temp / "model/model.safetensors", std::numeric_limits<float>::quiet_NaN());
  for (const ExportFormat format : {ExportFormat::hf, ExportFormat::qwen2moe, ExportFormat::gguf}) {
    CHECK_THROWS_WITH(
        export_model({temp / "model", temp / "out", format, StoredType::f32, ReadBackCheck::yes}),
        Contains("is not finite") && Contains("model.safetensors"));
    CHECK(names_in(temp.path()) == std::vector<std::string>{"model"});
    (void)export_model({temp / "model", temp / "out", format, StoredType::f32, ReadBackCheck::no});
    CHECK(fs::exists(temp / "out"));
    fs::remove_all(temp / "out");
  }
}
#endif
