#include "apps/report/tables.hpp"

#include <cmath>

#include <fmt/format.h>

#include "apps/report/statistics/sentences.hpp"
#include "apps/runs/provenance.hpp"

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

/// A text with a comma, a quote or a new line is put into quotes.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char letter : text) {
    if (letter == '"') result += '"';
    result += letter;
  }
  result += '"';
  return result;
}

/// What is not known is empty.
std::string cell_of(const Json& value) {
  if (value.is_null()) return "";
  return quoted(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string number_cell(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : std::string();
}

template <class T>
std::string cell_of(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

void end_row(std::string& table, const std::vector<std::string>& cells) {
  table += fmt::format("{}\n", fmt::join(cells, ","));
}

std::vector<std::string> interval_cells(const std::optional<Interval>& interval) {
  if (!interval) return {"", ""};
  return {number_cell(interval->low), number_cell(interval->high)};
}

void append(std::vector<std::string>& cells, const std::vector<std::string>& more) {
  cells.insert(cells.end(), more.begin(), more.end());
}

std::vector<std::string> run_cells(const ReportData& data, std::size_t index) {
  const RunReading& run = data.runs[index];
  const RunFacts& facts = run.facts;
  const Variant& variant = data.grouping.variants[data.grouping.variant_of[index]];
  std::vector<std::string> cells{quoted(run.found.name),
                                 quoted(as_utf8(run.found.path.string())),
                                 quoted(variant.name),
                                 quoted(variant.label),
                                 cell_of(data.grouping.seeds[index]),
                                 facts.state,
                                 quoted(as_utf8(facts.error)),
                                 number_cell(run.last_of("step")),
                                 cell_of(facts.steps),
                                 cell_of(facts.total_parameters),
                                 cell_of(facts.activated_parameters),
                                 number_cell(run.last_of("tokens")),
                                 number_cell(run.last_of("flops")),
                                 number_cell(run.last_of("hours"))};
  for (const std::string& key : data.grouping.keys) cells.push_back(cell_of(shown_value(run, key)));
  for (const std::string_view name : kFinal) cells.push_back(number_cell(final_of(run, name)));
  return cells;
}

/// The row of an evaluation has the values of its step too.
void write_rows_of(const ReportData& data, std::size_t index,
                   const std::function<void(std::string_view)>& write) {
  const RunReading& run = data.runs[index];
  const Metrics metrics = read_metrics(run.found.path / "metrics.jsonl", run.facts.flops_per_token);
  const std::string begin = fmt::format("{},{},{}", quoted(run.found.name),
                                        quoted(data.grouping.variants[data.grouping.variant_of[index]].name),
                                        cell_of(data.grouping.seeds[index]));
  std::size_t evaluation = 0;
  const Columns& evaluations = metrics.validation;
  for (std::size_t row = 0; row < metrics.rows(); ++row) {
    std::string line = begin;
    for (const auto& column : metrics.series) line += fmt::format(",{}", number_cell(column[row]));
    const bool evaluated = evaluation < evaluations.front().size() &&
                           evaluations.front()[evaluation] == metrics.series.front()[row];
    for (std::size_t i = kPlaces; i < kValidation.size(); ++i)
      line += fmt::format(",{}", evaluated ? number_cell(evaluations[i][evaluation]) : std::string());
    if (evaluated) ++evaluation;
    write(line + "\n");
  }
}

}  // namespace

std::string runs_table(const ReportData& data) {
  std::string table =
      std::string(kRunsHead) + "error,step,steps,total_parameters,activated_parameters,tokens,flops,hours";
  for (const std::string& key : data.grouping.keys) table += fmt::format(",{}", quoted(key));
  for (const std::string_view name : kFinal) table += fmt::format(",{}", name);
  table += '\n';
  for (std::size_t i = 0; i < data.runs.size(); ++i) end_row(table, run_cells(data, i));
  return table;
}

std::string variants_table(const ReportData& data) {
  std::string table = std::string(kVariantsHead) + "metric,sentence\n";
  for (std::size_t i = 0; i < data.grouping.variants.size(); ++i) {
    const Variant& variant = data.grouping.variants[i];
    const Estimate& mean = data.comparison.means[i];
    const Metric& metric = data.comparison.metric;
    std::vector<std::string> cells{quoted(variant.name), quoted(variant.label), fmt::format("{}", mean.n),
                                   cell_of(mean.mean), cell_of(mean.deviation)};
    append(cells, interval_cells(mean.interval));
    append(cells, {metric.key, quoted(mean_sentence(mean, metric.unit, data.comparison.left_out[i]))});
    end_row(table, cells);
  }
  return table;
}

std::string comparisons_table(const ReportData& data) {
  std::string table = std::string(kComparisonsHead) + "metric,sentence\n";
  const auto& variants = data.grouping.variants;
  const Metric& metric = data.comparison.metric;
  for (std::size_t baseline = 0; baseline < data.comparison.differences.size(); ++baseline) {
    for (std::size_t variant = 0; variant < variants.size(); ++variant) {
      if (variant == baseline) continue;
      const PairedDifference& paired = data.comparison.differences[baseline][variant];
      std::vector<std::string> cells{quoted(variants[baseline].name), quoted(variants[variant].name),
                                     fmt::format("{}", paired.difference.n), cell_of(paired.difference.mean)};
      append(cells, interval_cells(paired.difference.interval));
      append(cells, {cell_of(paired.p), metric.key, quoted(difference_sentence(paired, metric.unit))});
      end_row(table, cells);
    }
  }
  return table;
}

void write_load_table(const ReportData& data, const std::function<void(std::string_view)>& write) {
  write(std::string(kLoadHead) + "\n");
  for (const RunReading& run : data.runs) {
    const ExpertLoad& load = run.load;
    const std::string name = quoted(run.found.name);
    for (std::size_t layer = 0; layer < load.layers.size(); ++layer) {
      for (std::size_t bin = 0; bin < load.steps.size(); ++bin) {
        for (std::size_t expert = 0; expert < static_cast<std::size_t>(load.experts); ++expert) {
          write(fmt::format("{},{},{},{},{}\n", name, load.layers[layer], load.steps[bin], expert,
                            number_cell(load.at(layer, bin, expert))));
        }
      }
    }
  }
}

void write_series_table(const ReportData& data, const std::function<void(std::string_view)>& write) {
  std::string head = "run,variant,seed";
  for (const std::string_view name : kSeries) head += fmt::format(",{}", name);
  for (std::size_t i = kPlaces; i < kValidation.size(); ++i) head += fmt::format(",{}", kValidation[i]);
  write(head + "\n");
  for (std::size_t i = 0; i < data.runs.size(); ++i) write_rows_of(data, i, write);
}

}  // namespace granule
