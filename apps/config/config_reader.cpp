#include "apps/config/config_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include <toml++/toml.h>

#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
// toml++ bounds the nesting of brackets but not of dotted names, and frees tables recursively.
constexpr std::ptrdiff_t kMaxDots = 2'000;

bool is_utf8(const std::string& text) {
  // The JSON writer validates; TOML and state.json can hold nothing else.
  return json(text).dump(-1, ' ', false, json::error_handler_t::ignore).size() ==
         json(text).dump(-1, ' ', false, json::error_handler_t::replace).size();
}

// What a user wrote, fit for the one line of an error: no control characters, valid UTF-8, not endless.
std::string shown(std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  std::string line(text);
  if (!plain || !is_utf8(line)) line = json(text).dump(-1, ' ', true, json::error_handler_t::replace);
  constexpr std::size_t kLongest = 200;
  return line.size() > kLongest ? line.substr(0, kLongest) + "..." : line;
}

std::string text_of_file(const std::filesystem::path& path) {
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (!std::filesystem::exists(status)) {
    user_error("there is no such config file", path.string(), "give the path of a TOML file");
  }
  if (!std::filesystem::is_regular_file(status)) {  // asked first: opening a FIFO would wait for a writer
    user_error(
        std::filesystem::is_directory(status) ? "the config is a directory" : "the config is no regular file",
        path.string(), "give the path of a TOML file");
  }
  const auto bytes = std::filesystem::file_size(path, failure);
  if (!failure && bytes > kMaxFileBytes) {
    user_error(fmt::format("the config has {} bytes", bytes), path.string(), "a config has at most 1 MiB");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (failure || !file) {
    user_error(fmt::format("cannot read the config: {}", std::strerror(errno)), path.string(),
               "give a file that can be read");
  }
  return text;
}

void refuse_deep_nesting(std::string_view text, std::string_view where) {
  if (std::count(text.begin(), text.end(), '.') <= kMaxDots) return;
  user_error(fmt::format("there are more than {} dots", kMaxDots), where, "tables may not nest so deeply");
}

bool is_date(const toml::node& node) {
  return node.is_date() || node.is_time() || node.is_date_time();
}

json to_json(const toml::node& node, const std::string& where) {
  if (const auto* table = node.as_table()) {
    json object = json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value, where);
    return object;
  }
  if (const auto* array = node.as_array()) {
    json list = json::array();
    for (const auto& element : *array) list.push_back(to_json(element, where));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  user_error("a date stands where no key takes one", where, "put it in quotes if it is a name");
}

class FileEntries {
 public:
  explicit FileEntries(const std::filesystem::path& path)
      : path_(path), base_(std::filesystem::absolute(path).parent_path()) {}

  std::vector<ConfigEntry> read(const toml::table& document) {
    for (const auto& [name, node] : document) {
      const auto* table = node.as_table();
      if (table == nullptr || table->empty()) {
        add(name.str(), node);
        continue;
      }
      for (const auto& [key, value] : *table) add(fmt::format("{}.{}", name.str(), key.str()), value);
    }
    return std::move(entries_);
  }

 private:
  void add(std::string_view key, const toml::node& node) {
    std::string where = fmt::format("{}:{}", path_.string(), node.source().begin.line);
    json value = to_json(node, where);
    entries_.push_back({shown(key), std::move(value), std::move(where), {}, base_});
  }

  std::filesystem::path path_;
  std::filesystem::path base_;
  std::vector<ConfigEntry> entries_;
};

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

bool is_bare_word(std::string_view text) {
  return std::string_view("\"'[{").find(text.front()) == std::string_view::npos && is_utf8(std::string(text));
}

json override_value(const std::string& text, const std::string& where) {
  try {
    const toml::table document = toml::parse("value = " + text);
    const toml::node& node = *document.get("value");
    return is_date(node) ? json(text) : to_json(node, where);
  } catch (const toml::parse_error& error) {
    if (is_bare_word(text)) return text;
    user_error(fmt::format("the value is not TOML: {}", error.description()), where,
               "quote it for the shell, for example 'optim.betas=[0.9, 0.95]'");
  }
}

std::string described(const ConfigEntry& entry) {
  const json& value = entry.value;
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return fmt::format("{}", value.get<double>());
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

template <class T>
std::string described(ValueRange<T> range) {
  using End = typename ValueRange<T>::End;
  std::string text =
      fmt::format("{} {}", range.low_end == End::included ? "at least" : "more than", range.low);
  if (range.high == std::numeric_limits<T>::max()) return text;
  return text +
         fmt::format(" and {} {}", range.high_end == End::included ? "at most" : "less than", range.high);
}

template <class T>
T in_range(const ConfigEntry& entry, T value, ValueRange<T> range) {
  using End = typename ValueRange<T>::End;
  const bool above = range.low_end == End::included ? value >= range.low : value > range.low;
  const bool below = range.high_end == End::included ? value <= range.high : value < range.high;
  if (!above || !below) out_of_range(entry, described(range));
  return value;
}

std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view last_name(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

}  // namespace

std::vector<ConfigEntry> read_config_file(const std::filesystem::path& path) {
  const std::string text = text_of_file(path);
  refuse_deep_nesting(text, path.string());
  try {
    const toml::table document = toml::parse(text);
    return FileEntries(path).read(document);
  } catch (const toml::parse_error& error) {
    user_error(error.description(), fmt::format("{}:{}", path.string(), error.source().begin.line),
               "correct the TOML there");
  }
}

ConfigEntry parse_override(std::string_view text) {
  const std::string where = fmt::format("command line, {}", shown(text));
  const auto equals = text.find('=');
  const bool printable =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (equals == std::string_view::npos || !printable) {
    user_error("an argument is no override", where, "write key=value on one line, for example optim.lr=1e-3");
  }
  ConfigEntry entry;
  entry.key = shown(trimmed(text.substr(0, equals)));
  entry.written = trimmed(text.substr(equals + 1));
  entry.where = where;
  if (entry.key.empty() || entry.written.empty()) {
    user_error(entry.key.empty() ? "an override has no key" : "an override has no value", where,
               "write key=value, for example optim.lr=1e-3; an empty text is \"\"");
  }
  if (entry.key.find('.') == std::string::npos) {
    user_error(fmt::format("the key '{}' names no table", entry.key), where,
               "write table.key=value, for example optim.lr=1e-3");
  }
  refuse_deep_nesting(text, where);
  entry.value = override_value(entry.written, where);
  return entry;
}

void wrong_type(const ConfigEntry& entry, std::string_view expected) {
  user_error(fmt::format("{} = {} is not {}", entry.key, described(entry), expected), entry.where,
             fmt::format("give {}", expected));
}

void out_of_range(const ConfigEntry& entry, std::string_view expected) {
  user_error(fmt::format("{} = {} is out of range", entry.key, described(entry)), entry.where,
             fmt::format("it must be {}", expected));
}

std::int64_t integer_of(const ConfigEntry& entry, IntegerRange range) {
  if (!entry.value.is_number_integer()) wrong_type(entry, "an integer");
  return in_range(entry, entry.value.get<std::int64_t>(), range);
}

double number_of(const ConfigEntry& entry, NumberRange range) {
  if (!entry.value.is_number()) wrong_type(entry, "a number");
  const auto value = entry.value.get<double>();
  if (!std::isfinite(value)) wrong_type(entry, "a finite number");
  return in_range(entry, value, range);
}

bool boolean_of(const ConfigEntry& entry) {
  if (!entry.value.is_boolean()) wrong_type(entry, "true or false");
  return entry.value.get<bool>();
}

std::string text_of(const ConfigEntry& entry) {
  if (entry.value.is_string()) return entry.value.get<std::string>();
  if (entry.written.empty() || entry.value.is_structured()) wrong_type(entry, "a text in quotes");
  return entry.written;
}

std::filesystem::path path_of(const ConfigEntry& entry) {
  const std::string text = text_of(entry);
  if (text.find('\0') != std::string::npos) wrong_type(entry, "a path without NUL characters");
  if (text.empty()) return {};
  const auto path = std::filesystem::absolute(entry.base / text).lexically_normal();
  if (!is_utf8(path.string())) wrong_type(entry, "a path in UTF-8");
  return path;
}

std::size_t choice_of(const ConfigEntry& entry, const std::vector<std::string_view>& words) {
  const std::string text = entry.value.is_string() ? entry.value.get<std::string>() : std::string();
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == text) return i;
  }
  std::string list;
  for (const std::string_view word : words) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", word);
  wrong_type(entry, words.size() == 1 ? list : fmt::format("one of {}", list));
}

std::string_view nearest_key(std::string_view key, const std::vector<std::string_view>& known) {
  for (const std::string_view candidate : known) {
    if (last_name(candidate) == last_name(key) && edits_between(candidate, key) > 2) return candidate;
  }
  return *std::min_element(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
    return edits_between(a, key) < edits_between(b, key);
  });
}

}  // namespace granule
