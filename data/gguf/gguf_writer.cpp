#include "data/gguf/gguf_writer.hpp"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "core/error.hpp"
#include "data/gguf/q8_0.hpp"
#include "data/models/derived_tensors.hpp"
#include "data/models/float_convert.hpp"

namespace granule {
namespace {

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& bytes, std::string_view text) {
  append<std::uint64_t>(bytes, text.size());
  bytes += text;
}

std::int64_t aligned(std::int64_t size) {
  return (size + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

std::int64_t bytes_of(const GgufTensor& tensor) {
  const TensorSpec& spec = tensor.tensor.spec;
  const auto bytes = gguf_bytes(tensor.type, spec.shape);
  GRANULE_CHECK(bytes.has_value(), "gguf: '{}' of shape [{}] cannot be stored as {}", spec.name,
                fmt::join(spec.shape, ", "), name_of(tensor.type));
  return *bytes;
}

std::string header_of(const GgufMetadata& metadata, std::span<const GgufTensor> tensors) {
  std::string header(kGgufMagic);
  append(header, kGgufVersion);
  append<std::uint64_t>(header, tensors.size());
  append<std::uint64_t>(header, metadata.count());
  header += metadata.bytes();
  std::int64_t offset = 0;
  std::set<std::string_view> names;
  for (const GgufTensor& tensor : tensors) {
    const TensorSpec& spec = tensor.tensor.spec;
    GRANULE_CHECK(names.insert(spec.name).second, "gguf: the tensor name '{}' is given twice", spec.name);
    append_text(header, spec.name);
    append(header, static_cast<std::uint32_t>(spec.shape.size()));
    for (auto extent = spec.shape.rbegin(); extent != spec.shape.rend(); ++extent)
      append(header, static_cast<std::uint64_t>(*extent));
    append(header, static_cast<std::uint32_t>(tensor.type));
    append(header, static_cast<std::uint64_t>(offset));
    offset += aligned(bytes_of(tensor));
  }
  header.resize(static_cast<std::size_t>(aligned(std::ssize(header))));
  return header;
}

DType dtype_of_type(GgufType type) {
  if (type == GgufType::f16) return DType::f16;
  return type == GgufType::bf16 ? DType::bf16 : DType::f32;
}

void write_quantised(AtomicFile& file, const TensorToSave& tensor) {
  for_each_piece(converted(tensor, DType::f32), [&](std::span<const std::byte> piece) {
    std::vector<float> values(piece.size() / sizeof(float));
    floats_from_bytes(DType::f32, piece, std::span(values));
    const auto blocks = values.size() / static_cast<std::size_t>(block_elements(GgufType::q8_0));
    std::vector<std::byte> stored(blocks * static_cast<std::size_t>(block_bytes(GgufType::q8_0)));
    if (!quantise_q8_0(values, stored)) refuse_value(tensor.spec.name, name_of(GgufType::q8_0));
    file.write(stored);
  });
}

void write_tensor(AtomicFile& file, const GgufTensor& tensor) {
  if (tensor.type == GgufType::q8_0) {
    write_quantised(file, tensor.tensor);
  } else {
    for_each_piece(narrowed(tensor.tensor, dtype_of_type(tensor.type)),
                   [&](std::span<const std::byte> piece) { file.write(piece); });
  }
  static constexpr std::array<std::byte, kGgufAlignment> kPadding{};
  const std::int64_t bytes = bytes_of(tensor);
  file.write(std::span(kPadding).first(static_cast<std::size_t>(aligned(bytes) - bytes)));
}

}  // namespace

void GgufMetadata::begin(std::string_view key, GgufValueType type) {
  GRANULE_CHECK(keys_.insert(std::string(key)).second, "gguf: the key '{}' is given twice", key);
  append_text(bytes_, key);
  append(bytes_, static_cast<std::uint32_t>(type));
}

void GgufMetadata::begin_array(std::string_view key, GgufValueType type, std::size_t count) {
  begin(key, GgufValueType::array);
  append(bytes_, static_cast<std::uint32_t>(type));
  append<std::uint64_t>(bytes_, count);
}

void GgufMetadata::add(std::string_view key, std::uint32_t value) {
  begin(key, GgufValueType::u32);
  append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, float value) {
  begin(key, GgufValueType::f32);
  append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, bool value) {
  begin(key, GgufValueType::boolean);
  append<std::uint8_t>(bytes_, value ? 1 : 0);
}

void GgufMetadata::add(std::string_view key, std::string_view value) {
  begin(key, GgufValueType::string);
  append_text(bytes_, value);
}

void GgufMetadata::add(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufValueType::string, values.size());
  for (const std::string& value : values) append_text(bytes_, value);
}

void GgufMetadata::add(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufValueType::f32, values.size());
  for (const float value : values) append(bytes_, value);
}

void GgufMetadata::add(std::string_view key, std::span<const std::int32_t> values) {
  begin_array(key, GgufValueType::i32, values.size());
  for (const std::int32_t value : values) append(bytes_, value);
}

WrittenFile write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                       std::span<const GgufTensor> tensors, Disk& disk) {
  const std::string header = header_of(metadata, tensors);
  AtomicFile file(path, disk);
  file.write(std::as_bytes(std::span(header)));
  for (const GgufTensor& tensor : tensors) write_tensor(file, tensor);
  return file.commit();
}

}  // namespace granule
