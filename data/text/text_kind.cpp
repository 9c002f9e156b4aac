#include "data/text/text_kind.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/text/content_reader.hpp"
#include "data/text/file_kind.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMagicBytes = 512;
constexpr std::size_t kBytesSeen = std::size_t{1} << 16;
constexpr int kLinesSeen = 32;
constexpr std::string_view kBlank = " \t\r\n";

TextFile refused(std::string_view problem, std::string_view advice) {
  return {std::nullopt, std::string(problem), std::string(advice)};
}

enum class Shape : std::uint8_t {
  whole,    ///< one JSON value
  several,  ///< one value, and an object begins after it
  begun,    ///< the beginning of what could become one
  broken,
};

/// It keeps none of the values.
Shape shape_of(std::string_view text) {
  try {
    const Json nothing = Json::parse(text, [](int, Json::parse_event_t, Json&) { return false; });
    return Shape::whole;
  } catch (const Json::parse_error& error) {
    if (error.byte > text.size()) return Shape::begun;
    const bool follows =
        std::string_view(error.what()).find("'{'; expected end of input") != std::string_view::npos;
    return follows ? Shape::several : Shape::broken;
  } catch (const Json::out_of_range&) {
    return Shape::broken;
  }
}

/// What the first lines are. A line is like an object if it begins and ends as one.
struct Lines {
  int seen = 0, objects = 0, like_objects = 0;
  /// The first line could become a JSON value with the lines after it.
  bool first_is_begun = false;
  bool has_key = false;
};

bool is_like_object(std::string_view line) {
  if (!line.starts_with('{') || !line.ends_with('}')) return false;
  const std::size_t inside = line.find_first_not_of(kBlank, 1);
  return line[inside] == '"' || line[inside] == '\'' || line[inside] == '}';
}

void count(std::string_view line, const std::string& key, Lines& lines) {
  ++lines.seen;
  if (line.front() != '{') return;
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) {
    ++lines.objects;
    lines.has_key |= json.contains(key);
  }
  if (json.is_object() || is_like_object(line)) ++lines.like_objects;
  if (json.is_discarded()) lines.has_key |= line.find(fmt::format("\"{}\"", key)) != std::string_view::npos;
}

Lines first_lines(ContentReader& content, const std::string& key) {
  Lines lines;
  std::size_t bytes = 0;
  while (lines.seen < kLinesSeen && (lines.seen == 0 || bytes < kBytesSeen) && !content.at_end()) {
    std::string_view line = content.take_line();
    bytes += line.size();
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    line = line.substr(0, line.find_last_not_of(kBlank) + 1);
    if (line.empty()) continue;
    if (lines.seen == 0) lines.first_is_begun = shape_of(line) == Shape::begun;
    count(line, key, lines);
  }
  return lines;
}

/// Whether the whole file is an array, or is objects. The first character says which.
bool is_all_json(const fs::path& path, char first) {
  ContentReader content(path);
  const Shape beginning = shape_of(content.rest());
  if (beginning == Shape::broken) return false;
  const Shape all = beginning == Shape::several ? beginning : shape_of(content.take_all());
  return all == Shape::whole || (all == Shape::several && first == '{');
}

/// For a file that is an array, or objects over several lines. The advice turns it into JSON Lines.
TextFile over_several_lines(const fs::path& path, const std::string& key) {
  const ContentReader content(path);
  const std::string_view text = content.rest().substr(content.rest().find_first_not_of(kBlank));
  const char* const first = content.is_compressed() ? "decompress it, and " : "";
  if (text.front() == '{') {
    return refused(
        "JSON objects over several lines, not JSON Lines",
        fmt::format("{}write each document as an object of one line: jq -c . FILE > FILE.jsonl", first));
  }
  const std::size_t item = text.find_first_not_of(kBlank, 1);
  const bool has_strings = item != std::string_view::npos && text[item] == '"';
  const std::string filter = has_strings ? fmt::format(".[] | {{\"{}\": .}}", key) : ".[]";
  return refused("a JSON array, not JSON Lines",
                 fmt::format("{}write one object a line: jq -c '{}' FILE > FILE.jsonl", first, filter));
}

/// For a file whose name promises JSON, which is never text.
TextFile look_at_json(const Lines& lines, char first, const fs::path& path, const std::string& key) {
  const bool is_json = what_name_says(path) == NameSays::json;
  const bool over_lines = first == '{' && lines.objects == 0 && lines.first_is_begun && lines.seen > 1;
  if (over_lines || (first == '[' && is_json)) return over_several_lines(path, key);
  const bool has_lines = first == '{' || 2 * lines.like_objects > lines.seen;
  if (is_json && !has_lines)
    return refused("a .json file that begins as no JSON object does", "name it .txt, if it is text");
  return {TextKind::json_lines, "", "", false, lines.has_key};
}

/// For a file that has lines as JSON has.
TextFile look_at_lines(ContentReader& content, const fs::path& path, const std::string& key, char first) {
  const NameSays name = what_name_says(path);
  const Lines lines = first_lines(content, key);
  if (name == NameSays::json || name == NameSays::json_lines) {
    if (first == '[' && is_all_json(path, first)) return over_several_lines(path, key);
    return look_at_json(lines, first, path, key);
  }
  // A text may begin with a brace, so at least one line must be an object.
  const bool some = lines.objects > 0 || name == NameSays::nothing;
  if (some && 2 * lines.like_objects > lines.seen)
    return {TextKind::json_lines, "", "", false, lines.has_key};
  if ((first == '[' || lines.first_is_begun) && is_all_json(path, first))
    return over_several_lines(path, key);
  return {TextKind::text, "", ""};
}

/// Whether a line after the first one begins as an object does.
bool has_line_with_brace(std::string_view text) {
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', end + 1)) {
    const std::size_t next = text.find_first_not_of(kBlank, end);
    if (next != std::string_view::npos && text[next] == '{') return true;
  }
  return false;
}

}  // namespace

NameSays what_name_says(const fs::path& path) {
  std::string extension = uncompressed_name(path).extension();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  const auto is_one_of = [&](auto... names) { return ((extension == names) || ...); };
  if (is_one_of(".txt", ".text", ".md", ".markdown")) return NameSays::text;
  if (is_one_of(".jsonl", ".ndjson", ".jsonlines")) return NameSays::json_lines;
  return extension == ".json" ? NameSays::json : NameSays::nothing;
}

bool is_wide(ContentKind kind) {
  return kind == ContentKind::utf16 || kind == ContentKind::utf32;
}

TextFile look_at(const fs::path& path, const std::string& key) {
  ContentReader content(path);
  if (const auto kind = kind_of_content(content.rest().substr(0, kMagicBytes)))
    return refused(fmt::format("{}, not {}", name_of(*kind), is_wide(*kind) ? "UTF-8" : "text"),
                   text_advice(*kind));
  const NameSays name = what_name_says(path);
  const bool is_json = name == NameSays::json || name == NameSays::json_lines;
  const std::size_t start = content.rest().find_first_not_of(kBlank);
  const char first = start == std::string_view::npos ? '\0' : content.rest()[start];
  const Bytes bytes = kind_of_bytes(content.rest().substr(0, kBytesSeen));
  if (bytes == Bytes::utf16)
    return refused("UTF-16 text without a byte order mark, by its NUL bytes",
                   "convert it: iconv -f UTF-16LE -t UTF-8, or UTF-16BE");
  if (bytes == Bytes::binary && !(is_json && first == '{'))
    return refused("binary data with NUL bytes, not text", "give text in UTF-8, or JSON Lines");
  if (start == std::string_view::npos) return {is_json ? TextKind::json_lines : TextKind::text, "", "", true};
  // A name that promises text is believed if the text does not begin as JSON does.
  const bool may_be_lines = (name == NameSays::nothing || name == NameSays::json) &&
                            has_line_with_brace(content.rest().substr(0, kBytesSeen));
  if (first == '{' || first == '[' || may_be_lines) return look_at_lines(content, path, key, first);
  if (name == NameSays::json) return look_at_json({}, first, path, key);
  return {name == NameSays::json_lines ? TextKind::json_lines : TextKind::text, "", ""};
}

}  // namespace granule
