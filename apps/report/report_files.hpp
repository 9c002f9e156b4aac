// The files of a report, in the three formats. A report is made from runs and can be made again, so an older
// one is replaced. Nothing else is.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/report/document.hpp"

namespace granule {

enum class ReportFormat : std::uint8_t { html, csv, json };

/// The files that a report in this format has: `out` first. The tables of csv are beside it, as OUT-series
/// and so on.
[[nodiscard]] std::vector<std::filesystem::path> report_files(const std::filesystem::path& out,
                                                              ReportFormat format);

/// Throws a user error for a place where a report cannot be, or where something else than a report is.
void require_place_for_report(const std::filesystem::path& out, ReportFormat format);

/// Each file appears whole or not at all, `out` after the others. Throws exit code 74 if that fails. Returns
/// how many bytes the files have.
std::int64_t write_report(const ReportData& data, const std::filesystem::path& out, ReportFormat format,
                          std::optional<int> refresh_seconds);

}  // namespace granule
