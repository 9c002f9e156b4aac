// metrics.jsonl as columns of numbers. A long file is read in pieces, and only the numbers that a report
// shows are kept.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace granule {

/// The columns of a report's `series`. The first four say where a row is. `flops` and `hours` are not in the
/// file: they are counted from its tokens and from the seconds of its steps.
inline constexpr std::array<std::string_view, 17> kSeries{"step",
                                                          "tokens",
                                                          "flops",
                                                          "hours",
                                                          "ce",
                                                          "aux",
                                                          "lr",
                                                          "grad_norm",
                                                          "load_max_over_mean",
                                                          "load_cv",
                                                          "dead_experts",
                                                          "router_entropy",
                                                          "balance_over_ce",
                                                          "tokens_per_second",
                                                          "mfu",
                                                          "peak_bytes",
                                                          "dropped"};
/// The columns of its `validation`.
inline constexpr std::array<std::string_view, 7> kValidation{
    "step", "tokens", "flops", "hours", "val_ce", "val_perplexity", "val_bits_per_byte"};
inline constexpr std::size_t kPlaces = 4;  ///< step, tokens, flops, hours

using Columns = std::vector<std::vector<double>>;

struct Metrics {
  /// One column for each name, all of the same length. NaN is a value that is null or absent.
  Columns series{kSeries.size()}, validation{kValidation.size()};
  std::optional<std::int64_t> skips{};  ///< of the last row
  std::int64_t damaged = 0;             ///< lines that are no rows, or whose step is not a later one
  bool torn = false;                    ///< the last line has no end; it is left out
  [[nodiscard]] std::size_t rows() const { return series.front().size(); }
};

/// Absent files have no rows. Throws a user error if the file cannot be read.
[[nodiscard]] Metrics read_metrics(const std::filesystem::path& file, double flops_per_token);

}  // namespace granule
