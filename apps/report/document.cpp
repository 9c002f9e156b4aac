#include "apps/report/document.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "apps/program/version.hpp"
#include "apps/report/statistics/sentences.hpp"
#include "apps/runs/provenance.hpp"

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

// Pictures need no more digits, and pages of many runs become shorter. Tables have all digits.
constexpr int kDigitsOfSeries = 7, kDigitsOfLoad = 3;

Json rounded_json(double value, int digits) {
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  if (whole || !std::isfinite(value)) return number_json(value);
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, digits);
  double rounded = value;
  std::from_chars(text, end.ptr, rounded);
  return rounded;
}

Json column_json(const std::vector<double>& column) {
  Json list = Json::array();
  for (const double value : column) list.push_back(rounded_json(value, kDigitsOfSeries));
  return list;
}

Json columns_json(const Columns& columns, std::span<const std::string_view> names) {
  Json object = Json::object();
  for (std::size_t i = 0; i < names.size(); ++i) object[std::string(names[i])] = column_json(columns[i]);
  return object;
}

Json load_json(const ExpertLoad& load) {
  if (load.empty()) return nullptr;
  Json share = Json::array();
  for (std::size_t layer = 0; layer < load.layers.size(); ++layer) {
    Json bins = Json::array();
    for (std::size_t bin = 0; bin < load.steps.size(); ++bin) {
      Json row = Json::array();
      for (std::size_t expert = 0; expert < static_cast<std::size_t>(load.experts); ++expert)
        row.push_back(rounded_json(load.at(layer, bin, expert), kDigitsOfLoad));
      bins.push_back(std::move(row));
    }
    share.push_back(std::move(bins));
  }
  return {{"layers", load.layers}, {"experts", load.experts}, {"steps", load.steps}, {"share", share}};
}

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json interval_json(const std::optional<Interval>& interval) {
  return interval ? Json::array({interval->low, interval->high}) : Json();
}

Json final_json(const RunReading& run) {
  Json object = Json::object();
  for (const std::string_view name : kFinal) object[std::string(name)] = number_json(final_of(run, name));
  return object;
}

Json config_json(const RunReading& run, const std::vector<std::string>& keys) {
  Json object = Json::object();
  for (const std::string& key : keys) object[key] = shown_value(run, key);
  return object;
}

Json run_json(const RunReading& run, const Grouping& grouping, std::size_t index) {
  const RunFacts& facts = run.facts;
  return {{"name", run.found.name},
          {"path", as_utf8(run.found.path.string())},
          {"variant", grouping.variant_of[index]},
          {"seed", value_or_null(grouping.seeds[index])},
          {"state", facts.state},
          {"error", facts.error.empty() ? Json() : Json(as_utf8(facts.error))},
          {"notes", facts.notes},
          {"step", run.has_rows() ? number_json(run.last_of("step")) : Json(0)},
          {"steps", value_or_null(facts.steps)},
          {"config", config_json(run, grouping.keys)},
          {"parameters",
           {{"total", value_or_null(facts.total_parameters)},
            {"activated", value_or_null(facts.activated_parameters)}}},
          {"tokens", number_json(run.last_of("tokens"))},
          {"flops", number_json(run.last_of("flops"))},
          {"hours", number_json(run.last_of("hours"))},
          {"final", final_json(run)},
          {"series", columns_json(run.metrics.series, kSeries)},
          {"validation", columns_json(run.metrics.validation, kValidation)},
          {"load", load_json(run.load)},
          {"by_expert", Json(run.by_expert)}};
}

Json variant_json(const ReportData& data, std::size_t index) {
  const Variant& variant = data.grouping.variants[index];
  const Estimate& mean = data.comparison.means[index];
  return {{"name", variant.name},
          {"label", variant.label},
          {"values", variant.values},
          {"runs", variant.runs},
          {"n", mean.n},
          {"mean", value_or_null(mean.mean)},
          {"deviation", value_or_null(mean.deviation)},
          {"interval", interval_json(mean.interval)},
          {"sentence", mean_sentence(mean, data.comparison.metric.unit, data.comparison.left_out[index])}};
}

Json difference_json(const PairedDifference& paired, std::string_view unit) {
  return {{"n", paired.difference.n},
          {"mean", value_or_null(paired.difference.mean)},
          {"interval", interval_json(paired.difference.interval)},
          {"p", value_or_null(paired.p)},
          {"test", "paired t-test, two-sided"},
          {"sentence", difference_sentence(paired, unit)}};
}

Json comparisons_json(const Comparison& comparison) {
  Json all = Json::array();
  for (std::size_t baseline = 0; baseline < comparison.differences.size(); ++baseline) {
    Json row = Json::array();
    for (std::size_t variant = 0; variant < comparison.differences.size(); ++variant) {
      const PairedDifference& paired = comparison.differences[baseline][variant];
      row.push_back(variant == baseline ? Json() : difference_json(paired, comparison.metric.unit));
    }
    all.push_back(std::move(row));
  }
  return all;
}

}  // namespace

ReportData report_data(const FoundRuns& found, const std::vector<RunReading>& runs) {
  Grouping grouping = group_runs(runs, found.sweep_keys);
  Comparison comparison = compare(runs, grouping);
  return {found.title, runs, std::move(grouping), std::move(comparison)};
}

double final_of(const RunReading& run, std::string_view name) {
  if (name != "skips") return run.last_of(name);
  return run.metrics.skips ? static_cast<double>(*run.metrics.skips)
                           : std::numeric_limits<double>::quiet_NaN();
}

Json number_json(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (std::abs(value) < 1e15 && value == std::floor(value)) return static_cast<std::int64_t>(value);
  return value;
}

Json report_document(const ReportData& data, std::optional<int> refresh_seconds) {
  const Metric& metric = data.comparison.metric;
  Json document{{"format", "granule-report/1"},
                {"version", program_version()},
                {"commit", program_commit()},
                {"created", utc_now()},
                {"title", data.title},
                {"watching", refresh_seconds.has_value()},
                {"refresh_seconds", value_or_null(refresh_seconds)},
                {"metric", {{"key", metric.key}, {"name", metric.name}, {"unit", metric.unit}}},
                {"keys", data.grouping.keys}};
  Json& runs = document["runs"] = Json::array();
  for (std::size_t i = 0; i < data.runs.size(); ++i) runs.push_back(run_json(data.runs[i], data.grouping, i));
  Json& variants = document["variants"] = Json::array();
  for (std::size_t i = 0; i < data.grouping.variants.size(); ++i) variants.push_back(variant_json(data, i));
  document["comparisons"] = comparisons_json(data.comparison);
  return document;
}

}  // namespace granule
