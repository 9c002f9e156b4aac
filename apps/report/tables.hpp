// The tables of `--format csv`, for data frames. docs/report.md describes their columns.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "apps/report/document.hpp"

namespace granule {

/// One row for each run: its config where runs differ, and its last values.
[[nodiscard]] std::string runs_table(const ReportData& data);
/// One row for each variant: mean, deviation and interval.
[[nodiscard]] std::string variants_table(const ReportData& data);
/// One row for each pair of a baseline and a variant.
[[nodiscard]] std::string comparisons_table(const ReportData& data);
/// One row for each run, layer, bin of steps and expert.
void write_load_table(const ReportData& data, const std::function<void(std::string_view)>& write);
/// One row for each row of metrics.jsonl, with all digits. The files are read again, one after the other,
/// because a reading of a run has only what a picture needs.
void write_series_table(const ReportData& data, const std::function<void(std::string_view)>& write);

/// The beginning of each table, by which a file is recognised.
inline constexpr std::string_view kRunsHead = "run,path,variant,label,seed,state,";
inline constexpr std::string_view kVariantsHead = "variant,label,n,mean,deviation,low,high,";
inline constexpr std::string_view kComparisonsHead = "baseline,variant,n,mean,low,high,p,";
inline constexpr std::string_view kLoadHead = "run,layer,step,expert,share";
inline constexpr std::string_view kSeriesHead = "run,variant,seed,step,tokens,";

}  // namespace granule
