// The content of a file from front to back: decompressed where it is compressed, without a byte order mark.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/files/files.hpp"
#include "data/text/decompressor.hpp"

namespace granule {

/// Views of the content live until the next call that takes or reads.
class ContentReader {
 public:
  /// Throws a user error for a file that cannot be read or whose compression is damaged; so do the others.
  explicit ContentReader(const std::filesystem::path& path);

  /// What has been read and not been taken. Of a compressed file more may follow.
  [[nodiscard]] std::string_view rest() const { return rest_; }
  /// Reads more of a compressed file; false at its end.
  bool read_more();
  /// Whether all has been taken.
  [[nodiscard]] bool at_end() { return rest_.empty() && !read_more(); }
  /// The next line, without its end.
  [[nodiscard]] std::string_view take_line();
  /// All that is left.
  [[nodiscard]] std::string_view take_all();
  /// Bytes of the file that have been used.
  [[nodiscard]] std::int64_t consumed() const;

 private:
  MappedFile file_;
  std::unique_ptr<Decompressor> compressed_;  // if it is
  std::string buffer_;                        // what it gave last
  std::string_view rest_;                     // of the file, or of the buffer
};

}  // namespace granule
