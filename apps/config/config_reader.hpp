// Reads what a user wrote — a TOML file, key=value words — into a flat list of keys with their values and
// places, and turns single values into typed ones. Knows no key by name: apps/config/keys/run_config_keys.hpp
// does.
#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace granule {

/// One value as it was written. A table without keys is an entry too: its value is an empty object.
struct ConfigEntry {
  std::string key;       ///< dotted: "model.hidden_size"
  nlohmann::json value;  ///< TOML values have the same JSON ones; dates are refused
  std::string where;     ///< "run.toml:12", "command line, optim.lr=1"
  std::string written;   ///< the text behind "=" of an override; empty in files
  std::filesystem::path
      base;  ///< directory that relative paths are relative to; empty: the working directory
};

/// Throws a user error with file and line for what is not TOML, and for what is no regular file of at most 1
/// MiB.
[[nodiscard]] std::vector<ConfigEntry> read_config_file(const std::filesystem::path& path);

/// "optim.lr=1e-3": a dotted key and a TOML value; text that is no TOML value is taken as a string.
[[nodiscard]] ConfigEntry parse_override(std::string_view text);

template <class T>
struct ValueRange {
  T low;
  T high = std::numeric_limits<T>::max();
  enum class End : std::uint8_t { included, excluded };
  End low_end = End::included;
  End high_end = End::included;
};
using IntegerRange = ValueRange<std::int64_t>;
using NumberRange = ValueRange<double>;

// Each throws a user error naming the key, what was written, what is expected, and the place.
[[nodiscard]] std::int64_t integer_of(const ConfigEntry& entry, IntegerRange range);
/// Integers are accepted; NaN and infinities are not.
[[nodiscard]] double number_of(const ConfigEntry& entry, NumberRange range);
[[nodiscard]] bool boolean_of(const ConfigEntry& entry);
/// An override gives its text even where it reads as a number: `data.path=2024`.
[[nodiscard]] std::string text_of(const ConfigEntry& entry);
/// An absolute path: relative ones start from entry.base. An empty one stays empty.
[[nodiscard]] std::filesystem::path path_of(const ConfigEntry& entry);
/// The index of the word in `words`.
[[nodiscard]] std::size_t choice_of(const ConfigEntry& entry, const std::vector<std::string_view>& words);

/// `advice` empty: the number that was meant ("write 1000" of 1e3 or "1k"), or to correct the value.
[[noreturn]] void wrong_type(const ConfigEntry& entry, std::string_view expected,
                             std::string_view advice = {});
/// The whole number that 1e3, 1000.0, "1k" or "1,000" stands for; nothing for any other value.
[[nodiscard]] std::optional<std::int64_t> whole_number_meant(const nlohmann::json& value);
[[noreturn]] void out_of_range(const ConfigEntry& entry, std::string_view expected);

}  // namespace granule
