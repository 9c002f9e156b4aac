// Documents from text files and JSON Lines, compressed or not, one after the other. Their order depends only
// on names.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/content_reader.hpp"
#include "data/text/input_files.hpp"
#include "data/text/json_line.hpp"

namespace granule {

enum class DocumentUnit : std::uint8_t {
  file,  ///< a text file is one document
  line,  ///< every line of a text file that is not empty is one document
};

/// How lines become documents.
struct LineOptions {
  std::string text_key = "text";    ///< JSON Lines: the key of the document
  std::int64_t skip_bad_lines = 0;  ///< at most this many lines without a document are skipped
};

struct Document {
  std::string_view text;  ///< UTF-8, not empty; valid until the next call
  std::string where;      ///< "FILE" or "FILE:LINE"
};

struct SkippedLines {
  std::int64_t count = 0;
  std::vector<std::string> first;  ///< the first few: "FILE:LINE: what is wrong with it"
};

class TextSource {
 public:
  /// Finds the files and looks at the beginning of each. Throws a user error for what find_input_files
  /// refuses.
  TextSource(const std::vector<std::filesystem::path>& inputs, DocumentUnit unit, LineOptions lines = {});

  /// The next document that is not empty, or none at the end. Throws a user error for text that is not UTF-8
  /// or contains a NUL, and for a line without a document. The error names the file, the line and the place
  /// in the line. Damaged compression is a user error that names the file.
  [[nodiscard]] std::optional<Document> next();

  [[nodiscard]] const InputFiles& inputs() const { return inputs_; }
  [[nodiscard]] const SkippedLines& skipped() const { return skipped_; }
  /// The size of the files as they are on the disk.
  [[nodiscard]] std::int64_t bytes_total() const { return bytes_total_; }
  [[nodiscard]] std::int64_t bytes_read() const;
  /// Describes the inputs in words, for messages.
  [[nodiscard]] std::string describe() const;

 private:
  [[nodiscard]] const InputFile& file() const { return inputs_.files[next_file_ - 1]; }
  [[nodiscard]] bool open_next_file();
  [[nodiscard]] std::optional<Document> next_in_file();
  [[nodiscard]] std::optional<Document> document_of_file();
  void skip(const BadLine& line, const std::string& where);

  DocumentUnit unit_;
  LineOptions lines_;
  InputFiles inputs_;
  std::size_t next_file_ = 0;
  std::int64_t bytes_total_ = 0;
  std::int64_t bytes_of_finished_files_ = 0;
  SkippedLines skipped_;

  std::optional<ContentReader> content_;  // of the current file
  std::int64_t line_ = 0;                 // the number of the last line taken
  std::string text_;                      // the text of the last JSON document
};

}  // namespace granule
