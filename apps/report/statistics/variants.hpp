// Which runs are one variant: they differ only in their seeds. And which config keys differ between runs.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/report/runs/run_reading.hpp"

namespace granule {

struct Variant {
  std::string name, label;
  nlohmann::ordered_json values = nlohmann::ordered_json::object();  ///< of the keys that tell variants apart
  std::vector<std::size_t> runs;
};

struct Grouping {
  /// Keys whose values differ between the runs. Those that a sweep varies come first. Paths are none of them,
  /// nor are seeds that `seeds` has.
  std::vector<std::string> keys;
  std::vector<Variant> variants;
  std::vector<std::size_t> variant_of;             ///< for each run
  std::vector<std::optional<std::int64_t>> seeds;  ///< for each run
  /// For each run: runs of two variants that have the same text are a pair.
  std::vector<std::string> pairs;
};

/// Cells of a sweep have the variants of its table. Other runs are one variant if they have the same data,
/// the same start, and the same config except for seeds and for keys that change no result.
[[nodiscard]] Grouping group_runs(std::span<const RunReading> runs, std::span<const std::string> sweep_keys);

/// What a run shows for a key: null if it is not known.
[[nodiscard]] nlohmann::ordered_json shown_value(const RunReading& run, const std::string& key);

}  // namespace granule
