// The document of a report: everything that its page shows, as JSON. docs/report.md describes it.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/report/runs/run_reading.hpp"
#include "apps/report/statistics/comparison.hpp"
#include "apps/report/statistics/variants.hpp"

namespace granule {

/// What is known about all runs together.
struct ReportData {
  std::string title;
  const std::vector<RunReading>& runs;
  Grouping grouping;
  Comparison comparison;
};
[[nodiscard]] ReportData report_data(const FoundRuns& found, const std::vector<RunReading>& runs);

/// The values of the last rows that a report shows of each run, in the order of its table.
inline constexpr std::array<std::string_view, 15> kFinal{"ce",
                                                         "val_ce",
                                                         "val_perplexity",
                                                         "val_bits_per_byte",
                                                         "aux",
                                                         "load_max_over_mean",
                                                         "load_cv",
                                                         "dead_experts",
                                                         "router_entropy",
                                                         "balance_over_ce",
                                                         "tokens_per_second",
                                                         "mfu",
                                                         "peak_bytes",
                                                         "dropped",
                                                         "skips"};
[[nodiscard]] double final_of(const RunReading& run, std::string_view name);

/// A whole number as an integer, NaN as null.
[[nodiscard]] nlohmann::ordered_json number_json(double value);

/// If a page is written again and again, `refresh_seconds` says how often it should look.
[[nodiscard]] nlohmann::ordered_json report_document(const ReportData& data,
                                                     std::optional<int> refresh_seconds);

}  // namespace granule
