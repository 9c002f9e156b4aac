// Writes safetensors files as a stream. No tensor must be in memory as a whole, and no second copy of a model
// is made.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.hpp"
#include "data/files/atomic_file.hpp"

namespace granule {

struct TensorSpec {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;

  [[nodiscard]] std::int64_t bytes() const;  ///< throws if an extent is negative or the product overflows
};

/// A tensor and where its bytes come from.
struct TensorToSave {
  TensorSpec spec;
  /// Fills `out` with the bytes from `offset` on. It is called for consecutive pieces of whole elements.
  std::function<void(std::int64_t offset, std::span<std::byte> out)> read;
};

/// A tensor whose bytes stay where they are until it is saved.
[[nodiscard]] TensorToSave tensor_of_bytes(TensorSpec spec, std::span<const std::byte> bytes);
/// The tensor, to be saved in another floating-point type. Values are rounded once.
[[nodiscard]] TensorToSave converted(TensorToSave tensor, DType to);
/// Calls body(piece) for consecutive pieces of the tensor, read through one staging buffer of a few MiB.
void for_each_piece(const TensorToSave& tensor, const std::function<void(std::span<const std::byte>)>& body);

/// All values of a floating-point tensor. If reading it is a collective, every rank must call this.
[[nodiscard]] std::vector<double> values_read(const TensorToSave& tensor);

using Metadata = std::map<std::string, std::string>;

/// The file appears at its path with finish(). See AtomicFile for failures.
class SafetensorsWriter {
 public:
  /// Names must be distinct. "format" is set to "pt" unless it is given, because some readers need it.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> specs, Metadata metadata = {},
                    Disk& disk = Disk::system());
  /// Writes the tensors in their order, each in one piece or several.
  void write(const std::string& name, std::span<const std::byte> bytes);
  WrittenFile finish();

 private:
  void skip_complete();

  AtomicFile file_;
  std::vector<TensorSpec> specs_;
  std::size_t current_ = 0;
  std::int64_t missing_ = 0;  ///< of the current tensor, in bytes
};

enum class ShardNames { numbered, plain_when_single };

struct WrittenTensors {
  std::vector<WrittenFile> files;
  std::map<std::string, std::string> file_of;  ///< from the name of a tensor to the name of its file
  std::int64_t tensor_bytes = 0;
};

/// Writes tensors into `<stem>-00001-of-0000N.safetensors` (or `<stem>.safetensors`). A file that would
/// become larger than `max_bytes` of data ends, and another begins. A larger tensor has its own file.
WrittenTensors write_tensors(const std::filesystem::path& directory, const std::string& stem,
                             std::span<const TensorToSave> tensors, std::int64_t max_bytes, ShardNames names,
                             Disk& disk = Disk::system());

/// Reads every tensor in the order and pieces of write_tensors() and writes nothing. If read() is a
/// collective, the ranks that do not write call this.
void read_as_written(std::span<const TensorToSave> tensors, std::int64_t max_bytes);

}  // namespace granule
