#include "apps/records/step_means.hpp"

#include <array>

#include <nlohmann/json.hpp>

namespace granule {
namespace {

/// Keys whose row also has the value of the step itself, besides the mean.
constexpr std::array<const char*, 5> kKeys{"ce", "aux", "device_aux", "z", "grad_norm"};

/// Every step of a run has the same number of tokens and operations.
void put_speed(nlohmann::ordered_json& row, double seconds) {
  const double own = row["step_seconds"].get<double>();
  row["step_seconds"] = seconds;
  if (!(seconds > 0.0)) return;
  for (const char* const key : {"tokens_per_second", "mfu"}) {
    if (row[key].is_number()) row[key] = row[key].get<double>() * (own / seconds);
  }
}

}  // namespace

StepMeans::StepMeans(const nlohmann::json& saved)
    : steps_(saved.at("steps").get<std::int64_t>()),
      ce_(saved.at("ce").get<double>()),
      aux_(saved.at("aux").get<double>()),
      device_aux_(saved.at("device_aux").get<double>()),
      z_(saved.at("z").get<double>()),
      grad_norm_(saved.at("grad_norm").get<double>()),
      seconds_(saved.at("seconds").get<double>()),
      seconds_by_phase_(saved.value("seconds_by_phase", decltype(seconds_by_phase_)())) {}

nlohmann::json StepMeans::saved() const {
  return {{"steps", steps_},
          {"ce", ce_},
          {"aux", aux_},
          {"device_aux", device_aux_},
          {"z", z_},
          {"grad_norm", grad_norm_},
          {"seconds", seconds_},
          {"seconds_by_phase", seconds_by_phase_}};
}

void StepMeans::add(const StepReport& report) {
  if (report.verdict != StepVerdict::apply) return;
  ++steps_;
  ce_ += report.losses.ce;
  if (!report.losses.aux_by_layer.empty()) {
    aux_ += report.losses.aux();
    device_aux_ += report.losses.device_aux();
    z_ += report.losses.z();
  }
  grad_norm_ += report.grad_norm;
  seconds_ += report.seconds;
  if (!report.seconds_by_phase) return;
  for (const auto& [phase, seconds] : *report.seconds_by_phase) seconds_by_phase_[phase] += seconds;
}

void StepMeans::put_into(nlohmann::ordered_json& row) {
  for (const char* const key : kKeys) row[std::string(key) + "_step"] = row[key];
  const bool skipped = row["skipped"].get<bool>();
  row["mean_of_steps"] = skipped ? 1 : steps_;
  if (skipped) return;
  const auto steps = static_cast<double>(steps_);
  const std::array sums{ce_, aux_, device_aux_, z_, grad_norm_};
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    if (row[kKeys[i]].is_number()) row[kKeys[i]] = sums[i] / steps;
  }
  if (steps_ > 1) put_speed(row, seconds_ / steps);
  if (row.contains("seconds_by_phase")) {
    for (const auto& [phase, seconds] : seconds_by_phase_) row["seconds_by_phase"][phase] = seconds / steps;
  }
  *this = {};
}

}  // namespace granule
