#include "apps/records/step_report.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

namespace granule {
namespace {

/// JSON has no NaN. A reader of the file can skip null in a plot.
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

/// Dense models and hash routers have no scores, so they have nothing that is computed from scores.
void null_what_needs_scores(nlohmann::ordered_json& row) {
  for (const std::string key : {"aux", "device_aux", "z", "router_entropy", "balance_over_ce"}) {
    row[key] = nullptr;
    for (auto& of_layer : row[key + "_by_layer"]) of_layer = nullptr;
  }
  for (auto& of_layer : row["effective_alpha_by_layer"]) of_layer = nullptr;
}

}  // namespace

double without_sign_of_nan(double value) {
  return std::isnan(value) ? std::abs(value) : value;
}

nlohmann::ordered_json metrics_row(const StepReport& report) {
  nlohmann::ordered_json row{
      {"step", report.step},
      {"tokens", report.tokens},
      {"epoch", report.epoch},
      {"ce", report.losses.ce},
      {"aux", report.losses.aux()},
      {"device_aux", report.losses.device_aux()},
      {"z", report.losses.z()},
      {"lr", report.lr},
      {"grad_norm", report.grad_norm},
      {"skipped", report.verdict != StepVerdict::apply},
      {"skips", report.skips},
      {"tokens_per_second", report.tokens_per_second},
      {"step_seconds", report.seconds},
      {"mfu", report.mfu ? nlohmann::ordered_json(*report.mfu) : nlohmann::ordered_json()},
      {"peak_bytes", report.peak_bytes}};
  add_routers(row, report.routers);
  const auto of_each_layer = [&](std::vector<double> values) {
    values.resize(report.routers.size());  // a layer without a loss has 0
    return values;
  };
  row["aux_by_layer"] = of_each_layer(report.losses.aux_by_layer);
  row["device_aux_by_layer"] = of_each_layer(report.losses.device_aux_by_layer);
  row["z_by_layer"] = of_each_layer(report.losses.z_by_layer);
  row["effective_alpha_by_layer"] = of_each_layer(report.losses.alpha_by_layer);
  if (report.losses.aux_by_layer.empty()) null_what_needs_scores(row);
  if (report.seconds_by_phase) row["seconds_by_phase"] = *report.seconds_by_phase;
  null_non_finite(row);
  if (report.evaluation) add_evaluation(row, *report.evaluation);
  return row;
}

void add_evaluation(nlohmann::ordered_json& row, const Evaluation& evaluation) {
  row["val_ce"] = evaluation.ce;
  row["val_perplexity"] = evaluation.perplexity;
  row["val_bits_per_byte"] =
      evaluation.bits_per_byte ? nlohmann::ordered_json(*evaluation.bits_per_byte) : nlohmann::ordered_json();
  null_non_finite(row);
}

std::string evaluation_text(const Evaluation& evaluation) {
  std::string text = fmt::format("val ce {:.4f}", without_sign_of_nan(evaluation.ce));
  if (evaluation.bits_per_byte) text += fmt::format(" ({:.3f} bits/byte)", *evaluation.bits_per_byte);
  return text;
}

std::string progress_text(const StepReport& report, std::int64_t total_steps, const Pace& pace) {
  std::string text =
      fmt::format("step {}/{}  ce {:.4f}", report.step, total_steps, without_sign_of_nan(report.losses.ce));
  if (const auto mean = pace.mean_ce()) text += fmt::format("  mean {:.4f}", *mean);
  if (!report.losses.aux_by_layer.empty())
    text += fmt::format("  aux {:.4f}", without_sign_of_nan(report.losses.aux()));
  if (!report.routers.empty()) text += fmt::format("  load cv {:.2f}", mean_load_cv(report.routers));
  text += fmt::format("  lr {:.2e}  grad {:.3f}  {:.0f} tok/s", report.lr,
                      without_sign_of_nan(report.grad_norm), report.tokens_per_second);
  text += skip_text(report.verdict);
  if (report.evaluation) text += "  " + evaluation_text(*report.evaluation);
  const std::int64_t left = total_steps - report.step;
  if (const auto seconds = pace.seconds_left(left); seconds && left > 0)
    text += fmt::format("  {} left", duration_text(*seconds));
  return text;
}

}  // namespace granule
