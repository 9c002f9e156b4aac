// Documents from text files and JSON Lines, compressed or not, one after the other, in an order that depends
// on names only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/files.hpp"
#include "data/text/decompressor.hpp"

namespace granule {

enum class DocumentUnit : std::uint8_t {
  file,  ///< a text file is one document
  line,  ///< every line of a text file that is not empty is one
};

struct Document {
  std::string_view text;  ///< UTF-8, not empty; lives until the next call
  std::string where;      ///< "FILE" or "FILE:LINE"
};

class TextSource {
 public:
  /// Files are taken as given, those of a directory (*.txt and *.jsonl, also with .gz or .zst behind, also in
  /// its folders) in name order. `.jsonl` holds one object with a string `text` a line; every other file is
  /// text. What begins like gzip or Zstandard is decompressed, whatever its name.
  /// Throws a user error for what is missing or not a file, and for a directory without such files.
  TextSource(const std::vector<std::filesystem::path>& inputs, DocumentUnit unit);

  /// The next document that is not empty; none at the end. Throws a user error that names file and line for
  /// text that is not UTF-8 and for malformed JSON, and the file for damaged compression.
  [[nodiscard]] std::optional<Document> next();

  [[nodiscard]] std::int64_t bytes_total() const { return bytes_total_; }  ///< of the files, as they are
  [[nodiscard]] std::int64_t bytes_read() const;
  /// The inputs in words, for messages.
  [[nodiscard]] std::string describe() const;

 private:
  struct File {
    std::filesystem::path path;
    std::int64_t bytes = 0;
  };
  [[nodiscard]] bool open_next_file();
  [[nodiscard]] std::optional<Document> next_in_file();
  [[nodiscard]] std::string_view take_line();
  /// Puts more of a compressed file behind `rest_`, whose text moves; false at its end.
  bool read_more();

  DocumentUnit unit_;
  std::vector<File> files_;
  std::size_t next_file_ = 0;
  std::int64_t bytes_total_ = 0;
  std::int64_t bytes_of_finished_files_ = 0;

  std::optional<MappedFile> current_;
  std::filesystem::path path_;  // of the current file
  bool is_jsonl_ = false;
  std::unique_ptr<Decompressor> compressed_;  // of the current file, if it is
  std::string buffer_;                        // what it gave last
  std::string_view rest_;                     // what is left of the file, or of the buffer
  std::int64_t line_ = 0;                     // the last line taken
  std::string text_;                          // of the last JSON document
};

}  // namespace granule
