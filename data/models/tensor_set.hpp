// The tensors of several safetensors files, found by name. Hugging Face directories and checkpoints are such
// sets.
#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/models/safetensors.hpp"

namespace granule {

/// Views are valid as long as the set, even if it is moved.
class TensorSet {
 public:
  /// Throws a user error that names both files if a tensor is there already.
  void add(SafetensorsFile file);

  // The files of another model type say the same with other names. These functions bring them into ours.

  /// Gives a tensor another name. Its values count times `factor`, a power of two, wherever they are read.
  /// Throws a user error if the new name is taken.
  void rename(const std::string& from, const std::string& to, double factor = 1.0);
  void remove(const std::string& name);
  /// Adds zeros of float32. No tensor may have the name.
  void add_zeros(const std::string& name, std::vector<std::int64_t> shape);

  [[nodiscard]] std::optional<TensorView> find(const std::string& name) const;
  /// A floating-point tensor of this shape. Throws a user error if it is missing, has another shape, or has
  /// no floating-point numbers. The error names the tensor, its file and both shapes.
  [[nodiscard]] TensorView get(const std::string& name, std::span<const std::int64_t> shape) const;
  [[nodiscard]] std::vector<std::string> names() const;  ///< sorted
  /// The file of a tensor that is in the set.
  [[nodiscard]] const std::filesystem::path& file_of(const std::string& name) const;
  [[nodiscard]] const std::vector<SafetensorsFile>& files() const { return files_; }

  /// Elements [begin, begin + size(out)) of what get() returns, converted. Throws a user error if one of them
  /// is not finite.
  void read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<float> out,
                 std::int64_t begin = 0) const;
  void read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<double> out,
                 std::int64_t begin = 0) const;

 private:
  struct Place {
    std::size_t file;
    TensorView view;
  };

  std::vector<SafetensorsFile> files_;
  std::deque<std::vector<std::byte>> zeros_;
  std::unordered_map<std::string, Place> places_;
};

}  // namespace granule
