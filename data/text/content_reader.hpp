// The content of a file from beginning to end: decompressed if it is compressed, and without a byte order
// mark.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/files/files.hpp"
#include "data/text/decompressor.hpp"

namespace granule {

/// Views of the content are valid until the next call that takes or reads.
class ContentReader {
 public:
  /// Throws a user error if the file cannot be read or its compression is damaged, as the other members do.
  explicit ContentReader(const std::filesystem::path& path);

  [[nodiscard]] bool is_compressed() const { return compressed_ != nullptr; }
  /// What has been read and not been taken yet. For a compressed file more may follow.
  [[nodiscard]] std::string_view rest() const { return rest_; }
  /// Reads more of a compressed file. False at its end.
  bool read_more();
  /// Whether all has been taken.
  [[nodiscard]] bool at_end() { return rest_.empty() && !read_more(); }
  /// The next line, without its end.
  [[nodiscard]] std::string_view take_line();
  /// Takes everything that is left.
  [[nodiscard]] std::string_view take_all();
  /// Bytes of the file that have been used.
  [[nodiscard]] std::int64_t consumed() const;

 private:
  MappedFile file_;
  std::unique_ptr<Decompressor> compressed_;  // if the file is compressed
  std::string buffer_;                        // what the decompressor gave last
  std::string_view rest_;                     // part of the file, or of the buffer
};

}  // namespace granule
