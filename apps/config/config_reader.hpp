// Reads what a user wrote, which is a TOML file or key=value words. The result is a flat list of keys with
// their values and places. Functions below turn single values into typed ones. No key is known here by its
// name; that is the task of apps/config/run_config_keys.hpp.
#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace granule {

/// One value as it was written. A table without keys is an entry too, and its value is an empty object.
struct ConfigEntry {
  std::string key;       ///< dotted: "model.hidden_size"
  nlohmann::json value;  ///< the JSON value that equals the TOML value; dates are refused
  std::string where;     ///< "run.toml:12", "command line, optim.lr=1"
  std::string written;   ///< the text after "=" of an override; empty for files
  /// Relative paths start from this directory. If it is empty, they start from the working directory.
  std::filesystem::path base;
};

/// The entries in the order of the file. Names of the table `listing` may be dotted, as in `moe.seq_aux = …`;
/// its entries are `listing.moe.seq_aux`. Throws a user error with file and line if the text is not TOML. The
/// file must be a regular one of at most 1 MiB.
[[nodiscard]] std::vector<ConfigEntry> read_config_file(const std::filesystem::path& path,
                                                        std::string_view listing = {});

/// "optim.lr=1e-3": a dotted key and a TOML value. A text that is not a TOML value is taken as a string.
[[nodiscard]] ConfigEntry parse_override(std::string_view text);
/// All of them. Throws a user error for a key that is given twice.
[[nodiscard]] std::vector<ConfigEntry> parse_overrides(std::span<const std::string> texts);

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

// Each of these throws a user error that names the key, what was written, what is expected, and the place.
[[nodiscard]] std::int64_t integer_of(const ConfigEntry& entry, IntegerRange range);
/// Integers are accepted; NaN and infinities are not.
[[nodiscard]] double number_of(const ConfigEntry& entry, NumberRange range);
[[nodiscard]] bool boolean_of(const ConfigEntry& entry);
/// For an override this is its text, even if it reads as a number: `data.path=2024`.
[[nodiscard]] std::string text_of(const ConfigEntry& entry);
/// An absolute path. Relative ones start from entry.base, and an empty one stays empty.
[[nodiscard]] std::filesystem::path path_of(const ConfigEntry& entry);
/// The index of the word in `words`.
[[nodiscard]] std::size_t choice_of(const ConfigEntry& entry, const std::vector<std::string_view>& words);

/// If `advice` is empty, the error names the number that was meant ("write 1000" for 1e3 or "1k"). If none is
/// known, it asks to correct the value.
[[noreturn]] void wrong_type(const ConfigEntry& entry, std::string_view expected,
                             std::string_view advice = {});
/// The whole number that 1e3, 1000.0, "1k" or "1,000" means. Absent for any other value.
[[nodiscard]] std::optional<std::int64_t> whole_number_meant(const nlohmann::json& value);
[[noreturn]] void out_of_range(const ConfigEntry& entry, std::string_view expected);

}  // namespace granule
