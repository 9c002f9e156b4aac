// Reads safetensors files: a u64 header length, a JSON header, and the data. A file is accepted only if every
// byte of it is accounted for. Source of the format: https://github.com/huggingface/safetensors ("Format").
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"
#include "data/files/files.hpp"

namespace granule {

/// The bytes are row-major and little-endian, with any alignment, and live as long as their file.
struct TensorView {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;  ///< of any rank; empty for a scalar
  std::span<const std::byte> bytes;
  /// The file's name of a type that we do not have ("F8_E4M3", "BOOL"). `dtype` then has no meaning.
  std::string_view foreign{};
  /// The values are those of the bytes times this power of two (data/models/tensor_set.hpp).
  double factor = 1.0;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};

struct SafetensorsContent {
  std::vector<NamedTensor> tensors;  ///< in the order of the data
  std::map<std::string, std::string> metadata;
};

/// The name of a dtype in these files: "F32", "BF16".
[[nodiscard]] std::string_view safetensors_name(DType type);

/// `file` is the whole file and must outlive the views. Errors name `where` and are user errors.
[[nodiscard]] SafetensorsContent parse_safetensors(std::span<const std::byte> file, std::string_view where);

class SafetensorsFile {
 public:
  [[nodiscard]] static SafetensorsFile open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<NamedTensor>& tensors() const { return content_.tensors; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return content_.metadata; }
  [[nodiscard]] std::optional<TensorView> find(std::string_view name) const;

 private:
  SafetensorsFile(std::filesystem::path path, MappedFile file);

  std::filesystem::path path_;
  MappedFile file_;
  SafetensorsContent content_;
};

}  // namespace granule
