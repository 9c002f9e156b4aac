// The tensors of several safetensors files, looked up by name: what a Hugging Face directory and a checkpoint
// both are.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/models/safetensors.hpp"

namespace granule {

/// Views stay valid as long as the set, wherever it is moved.
class TensorSet {
 public:
  /// Throws a user error naming both files when a tensor is there already.
  void add(SafetensorsFile file);

  [[nodiscard]] std::optional<TensorView> find(const std::string& name) const;
  /// A floating-point tensor of this shape. Throws a user error that names the tensor, its file and both
  /// shapes when it is not there, has another shape, or holds no floating-point numbers.
  [[nodiscard]] TensorView get(const std::string& name, std::span<const std::int64_t> shape) const;
  [[nodiscard]] std::vector<std::string> names() const;  ///< sorted
  /// Where a tensor that is there came from.
  [[nodiscard]] const std::filesystem::path& file_of(const std::string& name) const;
  [[nodiscard]] const std::vector<SafetensorsFile>& files() const { return files_; }

  /// Elements [begin, begin + size(out)) of what get() returns, converted.
  void read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<float> out,
                 std::int64_t begin = 0) const;
  void read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<double> out,
                 std::int64_t begin = 0) const;

 private:
  struct Place {
    std::size_t file;
    std::size_t tensor;
  };

  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string, Place> places_;
};

}  // namespace granule
