#include "data/gguf/gguf_reader.hpp"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "core/error.hpp"
#include "data/gguf/byte_cursor.hpp"
#include "data/gguf/q8_0.hpp"
#include "data/models/float_convert.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLongestName = 65535;                    // of a key, as the format says
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 24;  // of an array; vocabularies are far smaller
constexpr std::uint32_t kMostDimensions = 4;
constexpr const char* kAlignmentKey = "general.alignment";
// What a key with its value, and a description of a tensor, take at least.
constexpr std::size_t kLeastPair = 8 + 1 + 4 + 1, kLeastTensor = 8 + 1 + 4 + 8 + 4 + 8;

std::string name_from(ByteCursor& cursor, std::string_view what) {
  std::string name = cursor.text(what);
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > kLongestName || std::any_of(name.begin(), name.end(), is_control))
    refuse_gguf(cursor.where(), "{} is empty, too long or has control characters", what);
  return name;
}

void read_opening(ByteCursor& cursor) {
  std::string magic;
  for (std::size_t i = 0; i < kGgufMagic.size(); ++i) magic += cursor.number<char>("the magic");
  if (magic != kGgufMagic) refuse_gguf(cursor.where(), "it does not begin with GGUF");
  const auto version = cursor.number<std::uint32_t>("the version");
  if (version == kGgufVersion) return;
  user_error(fmt::format("the GGUF file has version {}", version), cursor.where(),
             "files of version 3, little-endian, can be read");
}

json number_from(ByteCursor& cursor, GgufValueType type) {
  constexpr std::string_view kWhat = "a value";
  switch (type) {
    case GgufValueType::u8:
      return cursor.number<std::uint8_t>(kWhat);
    case GgufValueType::i8:
      return cursor.number<std::int8_t>(kWhat);
    case GgufValueType::u16:
      return cursor.number<std::uint16_t>(kWhat);
    case GgufValueType::i16:
      return cursor.number<std::int16_t>(kWhat);
    case GgufValueType::u32:
      return cursor.number<std::uint32_t>(kWhat);
    case GgufValueType::i32:
      return cursor.number<std::int32_t>(kWhat);
    case GgufValueType::f32:
      return cursor.number<float>(kWhat);
    case GgufValueType::u64:
      return cursor.number<std::uint64_t>(kWhat);
    case GgufValueType::i64:
      return cursor.number<std::int64_t>(kWhat);
    default:
      return cursor.number<double>(kWhat);
  }
}

json scalar_from(ByteCursor& cursor, GgufValueType type) {
  if (type == GgufValueType::string) return cursor.text("a value");
  if (type != GgufValueType::boolean) return number_from(cursor, type);
  const auto value = cursor.number<std::uint8_t>("a value");
  if (value > 1) refuse_gguf(cursor.where(), "a boolean is {}", value);
  return value == 1;
}

GgufValueType value_type_from(ByteCursor& cursor) {
  const auto type = cursor.number<std::uint32_t>("the type of a value");
  if (type > static_cast<std::uint32_t>(GgufValueType::f64))
    refuse_gguf(cursor.where(), "there is no type of values {}", type);
  return static_cast<GgufValueType>(type);
}

std::size_t least_bytes(GgufValueType type) {
  switch (type) {
    case GgufValueType::u8:
    case GgufValueType::i8:
    case GgufValueType::boolean:
      return 1;
    case GgufValueType::u16:
    case GgufValueType::i16:
      return 2;
    case GgufValueType::u32:
    case GgufValueType::i32:
    case GgufValueType::f32:
      return 4;
    default:
      return 8;
  }
}

json array_from(ByteCursor& cursor) {
  const GgufValueType type = value_type_from(cursor);
  if (type == GgufValueType::array) refuse_gguf(cursor.where(), "an array holds arrays");
  const std::uint64_t count = cursor.count(least_bytes(type), "values of an array");
  if (count > kMostElements)
    refuse_gguf(cursor.where(), "an array has {} values, {} are the most", count, kMostElements);
  json values = json::array();
  for (std::uint64_t i = 0; i < count; ++i) values.push_back(scalar_from(cursor, type));
  return values;
}

std::map<std::string, json> metadata_from(ByteCursor& cursor, std::uint64_t pairs) {
  std::map<std::string, json> metadata;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    std::string key = name_from(cursor, "a key");
    const GgufValueType type = value_type_from(cursor);
    json value = type == GgufValueType::array ? array_from(cursor) : scalar_from(cursor, type);
    const auto [place, added] = metadata.try_emplace(std::move(key), std::move(value));
    if (!added) refuse_gguf(cursor.where(), "the key '{}' is given twice", place->first);
  }
  return metadata;
}

std::uint64_t alignment_of(const std::map<std::string, json>& metadata, std::string_view where) {
  const auto found = metadata.find(kAlignmentKey);
  if (found == metadata.end()) return kGgufAlignment;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 20;
  const std::uint64_t value = found->second.is_number_unsigned() ? found->second.get<std::uint64_t>() : 0;
  if (value == 0 || value % 8 != 0 || value > kMost)
    refuse_gguf(where, "{} is no multiple of 8 up to {}", kAlignmentKey, kMost);
  return value;
}

struct Described {
  GgufView view;
  std::uint64_t offset = 0;
};

std::vector<std::int64_t> shape_from(ByteCursor& cursor, const std::string& name) {
  const auto dimensions = cursor.number<std::uint32_t>("the dimensions of a tensor");
  if (dimensions == 0 || dimensions > kMostDimensions)
    refuse_gguf(cursor.where(), "tensor '{}' has {} dimensions", name, dimensions);
  std::vector<std::int64_t> shape;
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto extent = cursor.number<std::uint64_t>("the shape of a tensor");
    if (extent == 0 || extent > INT64_MAX)
      refuse_gguf(cursor.where(), "tensor '{}' has an extent of {}", name, extent);
    shape.insert(shape.begin(), static_cast<std::int64_t>(extent));
  }
  return shape;
}

Described description_from(ByteCursor& cursor) {
  Described tensor{{name_from(cursor, "the name of a tensor"), GgufType::f32, {}, {}}};
  GgufView& view = tensor.view;
  view.shape = shape_from(cursor, view.name);
  const auto type = cursor.number<std::uint32_t>("the type of a tensor");
  const auto known = gguf_type_of(type);
  if (!known) {
    user_error(fmt::format("tensor '{}' has type {}, which is not read here", view.name, type),
               cursor.where(), "files of f32, f16, bf16 and q8_0 can be read");
  }
  view.type = *known;
  tensor.offset = cursor.number<std::uint64_t>("the place of a tensor");
  return tensor;
}

/// Gives every tensor its bytes. They follow each other without holes.
std::vector<GgufView> placed(std::vector<Described> described, std::span<const std::byte> data,
                             std::uint64_t alignment, std::string_view where) {
  std::vector<GgufView> tensors;
  std::set<std::string_view> names;
  std::uint64_t expected = 0, end = 0;
  for (Described& tensor : described) {
    GgufView& view = tensor.view;
    const auto bytes = gguf_bytes(view.type, view.shape);
    if (!bytes)
      refuse_gguf(where, "tensor '{}' of shape [{}] cannot be of type {}", view.name,
                  fmt::join(view.shape, ", "), name_of(view.type));
    if (tensor.offset != expected)
      refuse_gguf(where, "tensor '{}' begins at {}, expected {}", view.name, tensor.offset, expected);
    if (expected > data.size() || static_cast<std::uint64_t>(*bytes) > data.size() - expected)
      refuse_gguf(where, "tensor '{}' of {} bytes at {} reaches past the {} bytes of data", view.name, *bytes,
                  expected, data.size());
    view.bytes = data.subspan(expected, static_cast<std::size_t>(*bytes));
    end = expected + static_cast<std::uint64_t>(*bytes);
    expected = (end + alignment - 1) / alignment * alignment;
    tensors.push_back(std::move(view));
  }
  if (data.size() != end && data.size() != expected)
    refuse_gguf(where, "{} bytes follow the last tensor", data.size() - end);
  for (const GgufView& view : tensors) {
    if (!names.insert(view.name).second) refuse_gguf(where, "tensor '{}' is there twice", view.name);
  }
  return tensors;
}

}  // namespace

std::int64_t GgufView::elements() const {
  return std::ssize(bytes) / block_bytes(type) * block_elements(type);
}

GgufContent parse_gguf(std::span<const std::byte> file, std::string_view where) {
  ByteCursor cursor(file, where);
  read_opening(cursor);
  const std::uint64_t tensors = cursor.count(kLeastTensor, "tensors");
  const std::uint64_t pairs = cursor.count(kLeastPair, "keys");
  GgufContent content{metadata_from(cursor, pairs), {}};
  std::vector<Described> described;
  for (std::uint64_t i = 0; i < tensors; ++i) described.push_back(description_from(cursor));
  const std::uint64_t alignment = alignment_of(content.metadata, where);
  const std::uint64_t begin = (cursor.position() + alignment - 1) / alignment * alignment;
  if (tensors == 0 && cursor.left() < alignment) return content;
  if (begin > file.size()) refuse_gguf(where, "it ends before the tensors");
  content.tensors = placed(std::move(described), file.subspan(begin), alignment, where);
  return content;
}

GgufFile::GgufFile(std::filesystem::path path, MappedFile file)
    : path_(std::move(path)), file_(std::move(file)), content_(parse_gguf(file_.bytes(), path_.string())) {
  for (std::size_t i = 0; i < content_.tensors.size(); ++i) places_.emplace(content_.tensors[i].name, i);
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  return {path, MappedFile(path)};
}

json GgufFile::value(const std::string& key) const {
  const auto found = content_.metadata.find(key);
  return found == content_.metadata.end() ? json() : found->second;
}

const GgufView* GgufFile::find(std::string_view name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &content_.tensors[found->second];
}

void read_floats(const GgufView& tensor, std::int64_t begin, std::span<float> out) {
  const std::int64_t block = block_elements(tensor.type), size = std::ssize(out);
  GRANULE_CHECK(begin >= 0 && begin % block == 0 && size % block == 0 && begin + size <= tensor.elements(),
                "gguf: elements {} to {} of '{}' with {}", begin, begin + size, tensor.name,
                tensor.elements());
  const auto bytes = tensor.bytes.subspan(static_cast<std::size_t>(begin / block * block_bytes(tensor.type)),
                                          static_cast<std::size_t>(size / block * block_bytes(tensor.type)));
  if (tensor.type == GgufType::q8_0) return dequantise_q8_0(bytes, out);
  const DType wide = tensor.type == GgufType::f32   ? DType::f32
                     : tensor.type == GgufType::f16 ? DType::f16
                                                    : DType::bf16;
  floats_from_bytes(wide, bytes, out);
}

}  // namespace granule
