// Documents from text files and JSON Lines, compressed or not, one after the other, in an order that depends
// on names only.
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
  line,  ///< every line of a text file that is not empty is one
};

/// How lines become documents.
struct LineOptions {
  std::string text_key = "text";    ///< of JSON Lines: the key that holds the document
  std::int64_t skip_bad_lines = 0;  ///< at most so many lines that hold no document are passed over
};

struct Document {
  std::string_view text;  ///< UTF-8, not empty; lives until the next call
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

  /// The next document that is not empty; none at the end. Throws a user error that names file, line and the
  /// place in the line for text that is not UTF-8 or holds a NUL and for lines without a document, and the
  /// file for damaged compression.
  [[nodiscard]] std::optional<Document> next();

  [[nodiscard]] const InputFiles& inputs() const { return inputs_; }
  [[nodiscard]] const SkippedLines& skipped() const { return skipped_; }
  [[nodiscard]] std::int64_t bytes_total() const { return bytes_total_; }  ///< of the files, as they are
  [[nodiscard]] std::int64_t bytes_read() const;
  /// The inputs in words, for messages.
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
  std::int64_t line_ = 0;                 // the last line taken
  std::string text_;                      // of the last JSON document
};

}  // namespace granule
