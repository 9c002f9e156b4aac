#include "apps/sweep/cells/cell_name.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/config/config_reader.hpp"

namespace granule {
namespace {

using nlohmann::json;

// In bytes. A name is a part of paths, which the system limits.
constexpr std::size_t kLongestValue = 24, kLongestName = 120;

std::string leaf_of(const std::string& key) {
  return key.substr(key.find('.') + 1);
}

/// 0 and 0.0 are the same value, and have the same text.
std::string text_of(const json& value) {
  if (const auto whole = value.is_number() ? whole_number_meant(value) : std::nullopt)
    return std::to_string(*whole);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// At most so many bytes of UTF-8, without a part of a character.
std::string cut(std::string text, std::size_t longest) {
  if (text.size() <= longest) return text;
  while (longest > 0 && (static_cast<unsigned char>(text[longest]) & 0xc0) == 0x80) --longest;
  text.resize(longest);
  return text;
}

std::string plain(std::string text, std::size_t longest) {
  const auto is_plain = [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  };
  std::ranges::replace_if(
      text, [&](char c) { return !is_plain(static_cast<unsigned char>(c)); }, '_');
  return cut(std::move(text), longest);
}

}  // namespace

std::string plain_name(std::string text) {
  text = plain(std::move(text), kLongestName);
  // `..` is another directory, `.x` is hidden, and `-x` reads as an option.
  if (text.starts_with('.') || text.starts_with('-')) text.front() = '_';
  return text;
}

std::string variant_name(const std::vector<std::pair<std::string, json>>& values) {
  std::string name;
  for (const auto& [key, value] : values) {
    const std::string leaf = leaf_of(key);
    const auto ends_alike = [&](const auto& other) { return leaf_of(other.first) == leaf; };
    const bool unclear = std::ranges::count_if(values, ends_alike) > 1;
    name += fmt::format("{}{}-{}", name.empty() ? "" : ",", unclear ? key : leaf,
                        plain(text_of(value), kLongestValue));
  }
  return cut(std::move(name), kLongestName);
}

}  // namespace granule
