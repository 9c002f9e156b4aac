#include "data/text/text_source.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSkippedShown = 5;

/// Why a line of text is not text, or the first bad line of a whole text: its fault and its first byte.
struct TextFault {
  BadLine line;
  std::size_t at = 0;
};

std::optional<TextFault> fault_of_text(std::string_view text) {
  const auto bad = first_invalid_utf8(text);
  const std::size_t nul = text.find('\0'), at = std::min(bad.value_or(std::string_view::npos), nul);
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t line_start = text.substr(0, at).rfind('\n') + 1;  // if there is none, npos + 1 is 0
  if (at != nul) return TextFault{not_utf8(at - line_start), at};
  return TextFault{{fmt::format("not text: a NUL at byte {} of the line", at - line_start + 1),
                    "the file is binary or damaged: give text"},
                   at};
}

}  // namespace

TextSource::TextSource(const std::vector<fs::path>& inputs, DocumentUnit unit, LineOptions lines)
    : unit_(unit), lines_(std::move(lines)), inputs_(find_input_files(inputs, lines_.text_key)) {
  if (lines_.skip_bad_lines < 0) {
    user_error(fmt::format("{} bad lines cannot be skipped", lines_.skip_bad_lines), "--skip-bad-lines",
               "give the most lines that may be skipped, from 0 on");
  }
  for (const InputFile& input : inputs_.files) bytes_total_ += input.bytes;
}

std::string TextSource::describe() const {
  const auto& files = inputs_.files;
  if (files.size() == 1) return files.front().name();
  return fmt::format("{} and {} more", files.front().name(), files.size() - 1);
}

std::int64_t TextSource::bytes_read() const {
  return bytes_of_finished_files_ + (content_ ? content_->consumed() : 0);
}

bool TextSource::open_next_file() {
  if (content_) bytes_of_finished_files_ += file().bytes;
  content_.reset();
  if (next_file_ == inputs_.files.size()) return false;
  ++next_file_;
  content_.emplace(file().path);
  line_ = 0;
  return true;
}

std::optional<Document> TextSource::next() {
  do {
    while (content_ && !content_->at_end()) {
      if (auto document = next_in_file()) return document;
    }
  } while (open_next_file());
  return std::nullopt;
}

void TextSource::skip(const BadLine& line, const std::string& where) {
  if (lines_.skip_bad_lines == 0)
    user_error(line.what, where, line.advice + "; --skip-bad-lines N skips up to N such lines");
  if (skipped_.count == lines_.skip_bad_lines) {
    user_error(fmt::format("{}, after {} bad lines were skipped", line.what, skipped_.count), where,
               line.advice + "; or raise --skip-bad-lines");
  }
  ++skipped_.count;
  if (skipped_.first.size() < kSkippedShown)
    skipped_.first.push_back(fmt::format("{}: {}", where, line.what));
}

std::optional<Document> TextSource::document_of_file() {
  const std::string_view text = content_->take_all();
  if (const auto fault = fault_of_text(text)) {
    const auto line =
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(fault->at), '\n');
    user_error(fault->line.what, fmt::format("{}:{}", file().name(), line), fault->line.advice);
  }
  return Document{text, file().name()};
}

// Returns one document, or none if what was taken is empty or skipped.
std::optional<Document> TextSource::next_in_file() {
  const bool is_text = file().kind == TextKind::text;
  if (is_text && unit_ == DocumentUnit::file) return document_of_file();
  const std::string_view line = content_->take_line();
  const std::string where = fmt::format("{}:{}", file().name(), ++line_);
  if (is_text) {
    if (const auto fault = fault_of_text(line)) {
      skip(fault->line, where);
      return std::nullopt;
    }
    return line.empty() ? std::nullopt : std::optional(Document{line, where});
  }
  if (line.find_first_not_of(" \t") == std::string_view::npos) return std::nullopt;
  auto document = document_of_line(line, lines_.text_key);
  if (const auto* const bad = std::get_if<BadLine>(&document)) {
    skip(*bad, where);
    return std::nullopt;
  }
  text_ = std::move(std::get<std::string>(document));
  return text_.empty() ? std::nullopt : std::optional(Document{text_, where});
}

}  // namespace granule
