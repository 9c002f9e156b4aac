#include "apps/training/step_report.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

namespace granule {
namespace {

template <class Get>
auto by_layer(const std::vector<LoadStatistics>& load, Get get) {
  std::vector<decltype(get(load[0]))> values;
  for (const LoadStatistics& layer : load) values.push_back(get(layer));
  return values;
}

double mean(const std::vector<double>& values) {
  return values.empty()
             ? 0.0
             : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The run's figure is the worst layer's maximum, the mean spread, and all dead experts.
void add_load(nlohmann::ordered_json& row, const std::vector<LoadStatistics>& load) {
  const auto max_over_mean = by_layer(load, [](const LoadStatistics& s) { return s.max_over_mean; });
  const auto cv = by_layer(load, [](const LoadStatistics& s) { return s.cv; });
  const auto dead = by_layer(load, [](const LoadStatistics& s) { return s.dead; });
  row["load_max_over_mean"] =
      load.empty() ? 0.0 : *std::max_element(max_over_mean.begin(), max_over_mean.end());
  row["load_cv"] = mean(cv);
  row["dead_experts"] = std::accumulate(dead.begin(), dead.end(), std::int64_t{0});
  row["dropped"] = 0;  // dropless: no token is ever refused by its expert
  row["load_max_over_mean_by_layer"] = max_over_mean;
  row["load_cv_by_layer"] = cv;
  row["dead_experts_by_layer"] = dead;
}

/// JSON has no NaN: an absent value is what a reader of the file can plot around.
void null_non_finite(nlohmann::ordered_json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) value = nullptr;
  if (!value.is_structured()) return;
  for (auto& part : value) null_non_finite(part);
}

const char* skip_text(StepVerdict verdict) {
  switch (verdict) {
    case StepVerdict::non_finite:
      return "  skipped: not finite";
    case StepVerdict::spike:
      return "  skipped: a spike";
    case StepVerdict::apply:
      break;
  }
  return "";
}

}  // namespace

nlohmann::ordered_json metrics_row(const StepReport& report) {
  nlohmann::ordered_json row{{"step", report.step},
                             {"tokens", report.tokens},
                             {"epoch", report.epoch},
                             {"ce", report.losses.ce},
                             {"aux", report.losses.aux()},
                             {"device_aux", 0.0},
                             {"z", 0.0},
                             {"lr", report.lr},
                             {"grad_norm", report.grad_norm},
                             {"skipped", report.verdict != StepVerdict::apply},
                             {"skips", report.skips},
                             {"tokens_per_second", report.tokens_per_second},
                             {"step_seconds", report.seconds},
                             {"mfu", report.mfu},
                             {"peak_bytes", report.peak_bytes}};
  add_load(row, report.load);
  row["aux_by_layer"] = report.losses.aux_by_layer;
  if (report.seconds_by_phase) row["seconds_by_phase"] = *report.seconds_by_phase;
  if (report.evaluation) {
    row["val_ce"] = report.evaluation->ce;
    row["val_perplexity"] = report.evaluation->perplexity;
    row["val_bits_per_byte"] = report.evaluation->bits_per_byte
                                   ? nlohmann::ordered_json(*report.evaluation->bits_per_byte)
                                   : nlohmann::ordered_json();
  }
  null_non_finite(row);
  return row;
}

std::string progress_text(const StepReport& report, std::int64_t total_steps) {
  std::string text = fmt::format("step {}/{}  ce {:.4f}", report.step, total_steps, report.losses.ce);
  if (!report.load.empty()) {
    const auto cv = by_layer(report.load, [](const LoadStatistics& s) { return s.cv; });
    text += fmt::format("  aux {:.4f}  load cv {:.2f}", report.losses.aux(), mean(cv));
  }
  text += fmt::format("  lr {:.2e}  grad {:.3f}  {:.0f} tok/s", report.lr, report.grad_norm,
                      report.tokens_per_second);
  text += skip_text(report.verdict);
  if (report.evaluation) {
    text += fmt::format("  val ce {:.4f}", report.evaluation->ce);
    if (report.evaluation->bits_per_byte)
      text += fmt::format(" ({:.3f} bits/byte)", *report.evaluation->bits_per_byte);
  }
  return text;
}

}  // namespace granule
