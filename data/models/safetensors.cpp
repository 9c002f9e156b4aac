#include "data/models/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own library
constexpr std::array kTypes{DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64,
                            DType::i32, DType::u32, DType::u16,  DType::u8};

/// Types of the format that have no weights here; https://github.com/huggingface/safetensors, Dtype.
struct ForeignType {
  std::string_view name;
  std::int64_t bits;
};
constexpr ForeignType kForeign[] = {{"BOOL", 8},        {"I8", 8},          {"I16", 16},    {"U64", 64},
                                    {"C64", 64},        {"F8_E4M3", 8},     {"F8_E5M2", 8}, {"F8_E8M0", 8},
                                    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6},
                                    {"F4", 4}};

template <class... Args>
[[noreturn]] void refuse(std::string_view where, fmt::format_string<Args...> text, Args&&... args) {
  user_error(fmt::format("not a valid safetensors file: {}", fmt::format(text, std::forward<Args>(args)...)),
             where, "copy or download it again");
}

std::string_view header_text(std::span<const std::byte> file, std::string_view where) {
  if (file.size() < kLengthBytes) refuse(where, "{} bytes are too short for a header", file.size());
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length == 0) refuse(where, "the header length is 0");
  if (length > kMaxHeader) refuse(where, "the header length {} is over the limit of {}", length, kMaxHeader);
  if (length > file.size() - kLengthBytes) {
    refuse(where, "the header of {} bytes reaches past the end of the file of {}", length, file.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (text.front() != '{') refuse(where, "the header does not begin with '{{'");
  return text;
}

const json& member(const json& entry, const char* key, const std::string& name, std::string_view where) {
  const auto found = entry.find(key);
  if (found == entry.end()) refuse(where, "tensor '{}' has no {}", name, key);
  return *found;
}

std::uint64_t as_count(const json& value, std::string_view what, const std::string& name,
                       std::string_view where) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) {
    refuse(where, "tensor '{}' has a {} that is no count", name, what);
  }
  return value.get<std::uint64_t>();
}

const ForeignType* foreign_type(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kForeign), std::end(kForeign),
                                         [&](const auto& type) { return type.name == name; });
  return found == std::end(kForeign) ? nullptr : found;
}

void read_type(TensorView& view, const json& value, const std::string& name, std::string_view where) {
  if (!value.is_string()) refuse(where, "tensor '{}' has a dtype that is no string", name);
  const auto& text = value.get_ref<const std::string&>();
  const auto* const found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](DType t) { return safetensors_name(t) == text; });
  const ForeignType* const foreign = foreign_type(text);
  if (found == kTypes.end() && foreign == nullptr) {
    user_error(fmt::format("tensor '{}' has dtype {}, which is unknown here", name,
                           json(text.substr(0, 16)).dump(-1, ' ', true, json::error_handler_t::replace)),
               where, "convert the weights to F64, F32, BF16 or F16");
  }
  if (foreign != nullptr) {
    view.foreign = foreign->name;
  } else {
    view.dtype = *found;
  }
}

/// How many bytes a tensor of this dtype and shape has.
std::int64_t byte_size(const TensorView& view, const std::string& name, std::string_view where) {
  const ForeignType* const foreign = foreign_type(view.foreign);
  const std::int64_t bits = foreign != nullptr ? foreign->bits : 8 * size_of(view.dtype);
  std::int64_t size = bits;
  for (const std::int64_t extent : view.shape) {
    if (__builtin_mul_overflow(size, extent, &size)) {
      refuse(where, "tensor '{}' has shape [{}], which overflows", name, fmt::join(view.shape, ", "));
    }
  }
  if (size % 8 != 0) refuse(where, "tensor '{}' does not end at a byte", name);
  return size / 8;
}

void check_name(const std::string& name, std::string_view where) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(name.begin(), name.end(), is_control))
    refuse(where, "a tensor's name holds control characters");
}

NamedTensor tensor_from(const std::string& name, const json& entry, std::span<const std::byte> data,
                        std::string_view where) {
  check_name(name, where);
  if (!entry.is_object()) refuse(where, "the entry of tensor '{}' is no object", name);
  if (entry.size() > 3) refuse(where, "tensor '{}' has keys besides dtype, shape and data_offsets", name);
  NamedTensor tensor{name, {}};
  read_type(tensor.view, member(entry, "dtype", name, where), name, where);
  const json& shape = member(entry, "shape", name, where);
  const json& offsets = member(entry, "data_offsets", name, where);
  if (!shape.is_array()) refuse(where, "tensor '{}' has a shape that is no array", name);
  if (!offsets.is_array() || offsets.size() != 2) refuse(where, "tensor '{}' needs two data_offsets", name);
  for (const json& extent : shape) {
    tensor.view.shape.push_back(static_cast<std::int64_t>(as_count(extent, "shape", name, where)));
  }
  const std::uint64_t begin = as_count(offsets[0], "data_offset", name, where);
  const std::uint64_t end = as_count(offsets[1], "data_offset", name, where);
  if (begin > end) refuse(where, "tensor '{}' ends at {}, before it begins at {}", name, end, begin);
  if (end > data.size())
    refuse(where, "tensor '{}' ends at byte {} of {} bytes of data", name, end, data.size());
  const auto expected = static_cast<std::uint64_t>(byte_size(tensor.view, name, where));
  if (end - begin != expected) {
    refuse(where, "tensor '{}' takes {} bytes by dtype and shape, {} by its offsets", name, expected,
           end - begin);
  }
  tensor.view.bytes = data.subspan(begin, end - begin);
  return tensor;
}

std::map<std::string, std::string> metadata_from(const json& value, std::string_view where) {
  if (!value.is_object()) refuse(where, "__metadata__ is no object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) refuse(where, "__metadata__ holds a value that is no string");
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

void check_cover(const std::vector<NamedTensor>& tensors, std::span<const std::byte> data,
                 std::string_view where) {
  const std::byte* position = data.data();
  for (const auto& [name, view] : tensors) {
    if (view.bytes.data() < position) refuse(where, "tensor '{}' overlaps the one before it", name);
    if (view.bytes.data() > position) refuse(where, "there is a hole before tensor '{}'", name);
    position += view.bytes.size();
  }
  const auto rest = data.size() - static_cast<std::size_t>(position - data.data());
  if (rest != 0) refuse(where, "{} bytes follow the last tensor", rest);
}

}  // namespace

std::string_view safetensors_name(DType type) {
  switch (type) {
    case DType::f64:
      return "F64";
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::f16:
      return "F16";
    case DType::i64:
      return "I64";
    case DType::i32:
      return "I32";
    case DType::u32:
      return "U32";
    case DType::u16:
      return "U16";
    case DType::u8:
      return "U8";
  }
  return "?";
}

SafetensorsContent parse_safetensors(std::span<const std::byte> file, std::string_view where) {
  const std::string_view text = header_text(file, where);
  const auto data = file.subspan(kLengthBytes + text.size());
  const json header = parse_json(text, fmt::format("header of {}", where));
  GRANULE_ASSERT(header.is_object(), "JSON that begins with a brace is no object");
  SafetensorsContent content;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      content.metadata = metadata_from(entry, where);
    } else {
      content.tensors.push_back(tensor_from(name, entry, data, where));
    }
  }
  std::sort(content.tensors.begin(), content.tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    const auto key = [](const NamedTensor& t) { return std::pair(t.view.bytes.data(), t.view.bytes.size()); };
    return key(a) != key(b) ? key(a) < key(b) : a.name < b.name;
  });
  check_cover(content.tensors, data, where);
  return content;
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path, MappedFile file)
    : path_(std::move(path)),
      file_(std::move(file)),
      content_(parse_safetensors(file_.bytes(), path_.string())) {}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  return {path, MappedFile(path)};
}

std::optional<TensorView> SafetensorsFile::find(std::string_view name) const {
  for (const NamedTensor& tensor : tensors()) {
    if (tensor.name == name) return tensor.view;
  }
  return std::nullopt;
}

}  // namespace granule
