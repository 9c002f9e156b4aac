#include "data/text/text_source.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_text_file(const fs::path& path) {
  const fs::path extension = uncompressed_name(path).extension();
  return extension == ".txt" || extension == ".jsonl";
}

std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_directory() && is_text_file(entry->path())) files.push_back(entry->path());
  }
  if (error) {
    user_error(fmt::format("cannot list the directory: {}", error.message()), directory.string(),
               "check its permissions");
  }
  if (files.empty())
    user_error("no .txt or .jsonl files, compressed or not", directory.string(), "name the files");
  std::ranges::sort(files);
  return files;
}

void require_utf8(std::string_view text, const fs::path& path, std::int64_t first_line) {
  const auto bad = first_invalid_utf8(text);
  if (!bad) return;
  const auto line =
      first_line + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(*bad), '\n');
  const std::size_t line_start = text.substr(0, *bad).rfind('\n') + 1;  // npos + 1 is 0
  user_error(fmt::format("not UTF-8: byte {} of the line", *bad - line_start + 1),
             fmt::format("{}:{}", path.string(), line), "convert the text to UTF-8");
}

std::string text_of_json(std::string_view line, const std::string& where) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  // A NUL would end the input for nlohmann-json, and the rest go unseen.
  if (json.is_discarded() || line.find('\0') != std::string_view::npos)
    user_error("not JSON", where, "each line holds one object such as {\"text\": \"...\"}");
  if (!json.is_object())
    user_error("not a JSON object", where, "each line holds one object such as {\"text\": \"...\"}");
  const auto text = json.find("text");
  if (text == json.end()) user_error("the object has no \"text\"", where, "put the document under \"text\"");
  if (!text->is_string()) user_error("\"text\" is not a string", where, "put the document under \"text\"");
  return text->get<std::string>();
}

}  // namespace

TextSource::TextSource(const std::vector<fs::path>& inputs, DocumentUnit unit) : unit_(unit) {
  std::vector<fs::path> paths;
  for (const fs::path& input : inputs) {
    std::error_code error;  // a name that cannot be looked up is reported when it is opened
    if (fs::is_directory(input, error)) {
      std::ranges::copy(files_below(input), std::back_inserter(paths));
    } else {
      paths.push_back(input);
    }
  }
  if (paths.empty()) user_error("no input", "--input", "name files or directories");
  for (const fs::path& path : paths) {
    files_.push_back({path, size_of_regular_file(path)});
    bytes_total_ += files_.back().bytes;
  }
}

std::string TextSource::describe() const {
  if (files_.size() == 1) return files_.front().path.string();
  return fmt::format("{} and {} more", files_.front().path.string(), files_.size() - 1);
}

std::int64_t TextSource::bytes_read() const {
  if (!current_) return bytes_of_finished_files_;
  const std::int64_t of_current = compressed_
                                      ? compressed_->consumed()
                                      : static_cast<std::int64_t>(current_->bytes().size() - rest_.size());
  return bytes_of_finished_files_ + of_current;
}

bool TextSource::open_next_file() {
  if (current_) bytes_of_finished_files_ += static_cast<std::int64_t>(current_->bytes().size());
  compressed_.reset();
  current_.reset();
  if (next_file_ == files_.size()) return false;
  path_ = files_[next_file_++].path;
  const auto bytes = current_.emplace(path_).bytes();
  is_jsonl_ = uncompressed_name(path_).extension() == ".jsonl";
  compressed_ = Decompressor::of(bytes, path_);
  if (compressed_) {
    buffer_.clear();
    rest_ = {};
    read_more();
  } else {
    rest_ = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  line_ = 0;
  return true;
}

bool TextSource::read_more() {
  if (!compressed_) return false;
  buffer_.erase(0, buffer_.size() - rest_.size());
  const bool more = compressed_->read(buffer_);
  rest_ = buffer_;
  return more;
}

std::optional<Document> TextSource::next() {
  do {
    while (!rest_.empty() || read_more()) {
      if (auto document = next_in_file()) return document;
    }
  } while (open_next_file());
  return std::nullopt;
}

std::string_view TextSource::take_line() {
  std::size_t end = rest_.find('\n');
  for (std::size_t seen = rest_.size(); end == std::string_view::npos && read_more(); seen = rest_.size())
    end = rest_.find('\n', seen);
  std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  ++line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// One document, or none when what was taken is empty.
std::optional<Document> TextSource::next_in_file() {
  if (!is_jsonl_ && unit_ == DocumentUnit::file) {
    while (read_more()) {
    }
    require_utf8(rest_, path_, 1);
    return Document{std::exchange(rest_, {}), path_.string()};
  }
  const std::string_view line = take_line();
  const std::string where = fmt::format("{}:{}", path_.string(), line_);
  if (!is_jsonl_) {
    require_utf8(line, path_, line_);
    return line.empty() ? std::nullopt : std::optional(Document{line, where});
  }
  if (line.find_first_not_of(" \t") == std::string_view::npos) return std::nullopt;
  text_ = text_of_json(line, where);
  return text_.empty() ? std::nullopt : std::optional(Document{text_, where});
}

}  // namespace granule
