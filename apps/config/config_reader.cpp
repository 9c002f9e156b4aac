#include "apps/config/config_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <regex>

#include <toml++/toml.h>

#include "apps/config/key_advice.hpp"
#include "core/error.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
// toml++ limits the nesting of brackets but not that of dotted names, and it frees tables recursively.
constexpr std::ptrdiff_t kMaxDots = 2'000;

bool is_utf8(std::string_view text) {
  return !first_invalid_utf8(text);  // TOML and state.json must be UTF-8
}

// Makes what a user wrote fit for the one line of an error: valid UTF-8, without control characters, and not
// too long.
std::string shown(std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  std::string line(text);
  if (!plain || !is_utf8(text)) line = json(text).dump(-1, ' ', true, json::error_handler_t::replace);
  constexpr std::size_t kLongest = 200;
  return line.size() > kLongest ? line.substr(0, kLongest) + "..." : line;
}

std::string text_of_file(const std::filesystem::path& path) {
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (!std::filesystem::exists(status)) {
    const std::string word = path.string();
    const bool is_override = word.find('=') < word.find('/');
    user_error("there is no such config file", word,
               is_override ? "give CONFIG before every key=value" : "give the path of a TOML file");
  }
  // This comes before the file is opened, because opening a FIFO would wait for a writer.
  if (!std::filesystem::is_regular_file(status)) {
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
  FileEntries(const std::filesystem::path& path, std::string_view listing)
      : path_(path), base_(std::filesystem::absolute(path).parent_path()), listing_(listing) {}

  std::vector<ConfigEntry> read(const toml::table& document) {
    for (const auto& [name, node] : document) {
      const auto* table = node.as_table();
      if (table == nullptr || table->empty()) {
        add(name.str(), node);
      } else if (name.str() == listing_) {
        add_all(name.str(), *table);
      } else {
        for (const auto& [key, value] : *table) add(fmt::format("{}.{}", name.str(), key.str()), value);
      }
    }
    std::ranges::stable_sort(entries_, {}, &Placed::line);
    std::vector<ConfigEntry> entries;
    for (Placed& placed : entries_) entries.push_back(std::move(placed.entry));
    return entries;
  }

 private:
  struct Placed {
    ConfigEntry entry;
    std::pair<toml::source_index, toml::source_index> line;  // and the column
  };

  void add(std::string_view key, const toml::node& node) {
    const toml::source_position begin = node.source().begin;
    std::string where = fmt::format("{}:{}", path_.string(), begin.line);
    json value = to_json(node, where);
    entries_.push_back(
        {{shown(key), std::move(value), std::move(where), {}, base_}, {begin.line, begin.column}});
  }

  void add_all(std::string_view name, const toml::table& table) {
    for (const auto& [key, value] : table) {
      const std::string dotted = fmt::format("{}.{}", name, key.str());
      const auto* inner = value.as_table();
      if (inner != nullptr) {
        add_all(dotted, *inner);
      } else {
        add(dotted, value);
      }
    }
  }

  std::filesystem::path path_;
  std::filesystem::path base_;
  std::string_view listing_;
  std::vector<Placed> entries_;
};

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

bool is_bare_word(std::string_view text) {
  return std::string_view("\"'[{").find(text.front()) == std::string_view::npos;
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

/// Python writes True, and YAML also yes and on.
std::string advice_for_truth(const json& value) {
  std::string word = value.is_string() ? value.get<std::string>() : value.dump();
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* const truth : {"true", "yes", "on", "1"})
    if (word == truth) return "write true";
  for (const char* const untruth : {"false", "no", "off", "0"})
    if (word == untruth) return "write false";
  return {};
}

/// The names that NumPy and PyTorch have for the types.
std::string advice_for_type(std::string word, const std::vector<std::string_view>& words) {
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool single = word == "float32" || word == "fp32" || word == "float" || word == "single";
  const bool twice = word == "float64" || word == "fp64" || word == "double";
  const std::string_view meant = single ? "f32" : twice ? "f64" : "";
  const bool known = std::ranges::find(words, meant) != words.end();
  return known ? fmt::format("write \"{}\"", meant) : std::string();
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

}  // namespace

std::vector<ConfigEntry> read_config_file(const std::filesystem::path& path, std::string_view listing) {
  const std::string text = text_of_file(path);
  refuse_deep_nesting(text, path.string());
  try {
    const toml::table document = toml::parse(text);
    return FileEntries(path, listing).read(document);
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
    user_error("an argument is no override", where,
               "write key=value as one word, without spaces, for example optim.lr=1e-3");
  }
  if (!is_utf8(text)) {
    user_error("a config holds UTF-8, and this is not", where,
               "rename the file or directory, or make a link to it that has such a name");
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
    const std::string advice = advice_for_name(entry.key);
    user_error(fmt::format("the key '{}' names no table", entry.key), where,
               advice.empty() ? "write table.key=value, for example optim.lr=1e-3" : advice);
  }
  refuse_deep_nesting(text, where);
  entry.value = override_value(entry.written, where);
  return entry;
}

std::vector<ConfigEntry> parse_overrides(std::span<const std::string> texts) {
  std::vector<ConfigEntry> entries;
  for (const std::string& text : texts) {
    ConfigEntry entry = parse_override(text);
    const bool again =
        std::ranges::any_of(entries, [&](const ConfigEntry& other) { return other.key == entry.key; });
    if (again) user_error(fmt::format("{} is given twice", entry.key), entry.where, "give each key once");
    entries.push_back(std::move(entry));
  }
  return entries;
}

void wrong_type(const ConfigEntry& entry, std::string_view expected, std::string_view advice) {
  const auto meant = whole_number_meant(entry.value);
  const std::string number = meant ? fmt::format("write {}", *meant) : "correct the value";
  user_error(fmt::format("{} = {} is not {}", entry.key, described(entry), expected), entry.where,
             advice.empty() ? number : advice);
}

std::optional<std::int64_t> whole_number_meant(const json& value) {
  constexpr double kLargest = 9e15;  // below 2^53, so whole numbers are exact
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    if (!(std::abs(number) <= kLargest) || number != std::floor(number)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (!value.is_string()) return std::nullopt;
  std::smatch part;
  const auto& text = value.get_ref<const std::string&>();
  static const std::regex form("([0-9]{1,15}(?:[_,][0-9]{3})*)([kKmM]?)");
  if (text.size() > 24 || !std::regex_match(text, part, form)) return std::nullopt;
  std::string digits = part[1];
  std::erase_if(digits, [](char c) { return c == '_' || c == ','; });
  const double scale = part[2].length() == 0 ? 1 : std::tolower(part[2].str()[0]) == 'k' ? 1e3 : 1e6;
  return whole_number_meant(json(std::stod(digits) * scale));
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
  if (!entry.value.is_boolean()) wrong_type(entry, "true or false", advice_for_truth(entry.value));
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
  wrong_type(entry, words.size() == 1 ? list : fmt::format("one of {}", list), advice_for_type(text, words));
}

}  // namespace granule
