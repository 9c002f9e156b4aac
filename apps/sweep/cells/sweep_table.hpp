// The [sweep] table of a config: which keys take which values, and which budget all runs must share.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "apps/config/config_reader.hpp"

namespace granule {

/// What `solve` keeps equal.
enum class Budget : std::uint8_t { none, activated_params, total_params, flops };
[[nodiscard]] std::string_view name_of(Budget budget);

/// A swept key with its values, each as an entry of its own.
struct SweepAxis {
  std::string key;  ///< of a config, or kSegmentation
  std::vector<ConfigEntry> values;
};

/// `moe.segmentation = m` is no key of a config. It splits every expert in m
/// (apps/sweep/cells/segmentation.hpp).
inline constexpr std::string_view kSegmentation = "moe.segmentation";

struct SweepTable {
  enum class Mode : std::uint8_t {
    grid,  ///< every combination of values
    zip    ///< the first values together, then the second ones, and so on
  };
  std::string source;             ///< the file, for messages
  std::vector<ConfigEntry> base;  ///< the config without its [sweep] table; command line last
  std::vector<SweepAxis> axes;    ///< in the order of the file
  Mode mode = Mode::grid;
  std::vector<std::int64_t> seeds;  ///< empty: the config's own
  std::vector<std::string> names;   ///< of the variants, with Mode::zip; empty: made of the values
  Budget solve = Budget::none;
  std::string solve_key;  ///< empty without `solve`
};

/// Reads a config with a [sweep] table, and overrides of both. Throws user errors that name file and line for
/// everything that is wrong with the table. The values of swept keys are checked with their runs.
[[nodiscard]] SweepTable read_sweep(const std::filesystem::path& file,
                                    std::span<const std::string> overrides);

}  // namespace granule
