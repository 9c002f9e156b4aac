// Writes GGUF files as a stream. No tensor must be in memory as a whole.
#pragma once
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/atomic_file.hpp"
#include "data/gguf/gguf_type.hpp"
#include "data/models/safetensors_writer.hpp"

namespace granule {

/// The keys and values of a header, in the order in which they were added. Every key is given once.
class GgufMetadata {
 public:
  void add(std::string_view key, std::uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  void add(std::string_view key, std::span<const std::string> values);
  void add(std::string_view key, std::span<const float> values);
  void add(std::string_view key, std::span<const std::int32_t> values);

  [[nodiscard]] std::uint64_t count() const { return keys_.size(); }
  /// As they are in the file.
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, GgufValueType type);
  void begin_array(std::string_view key, GgufValueType type, std::size_t count);

  std::set<std::string, std::less<>> keys_;
  std::string bytes_;
};

/// A tensor and the type in which it is stored. The values must be floating-point. The name is the file's,
/// and the last extent of the shape is the length of a row. The file itself has the extents in the other
/// order.
struct GgufTensor {
  TensorToSave tensor;
  GgufType type = GgufType::f32;
};

/// The file appears at its path when everything is in it. Throws a user error if the type cannot hold a
/// value. See AtomicFile for other failures.
WrittenFile write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                       std::span<const GgufTensor> tensors, Disk& disk = Disk::system());

}  // namespace granule
