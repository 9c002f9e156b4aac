// The report of one step: a row of metrics.jsonl and a line for people.
#pragma once
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apps/inputs/evaluation.hpp"
#include "apps/records/pace.hpp"
#include "apps/records/router_report.hpp"
#include "moe/training/objective.hpp"
#include "optim/step_guard.hpp"

namespace granule {

struct StepReport {
  std::int64_t step = 0;
  std::int64_t tokens = 0;  ///< since the start of the run
  double epoch = 0.0;
  LossReport losses;
  double lr = 0.0, grad_norm = 0.0;
  StepVerdict verdict = StepVerdict::apply;
  std::int64_t skips = 0;  ///< steps skipped since the start of the run, including this one
  double seconds = 0.0, tokens_per_second = 0.0;
  std::optional<double> mfu{};  ///< absent if the peak of the device is not known
  std::int64_t peak_bytes = 0;
  std::optional<std::map<std::string, double, std::less<>>> seconds_by_phase;  ///< if they are needed
  std::vector<RouterReport> routers;                                           ///< for each MoE layer
  std::optional<Evaluation> evaluation;
};

/// For people. The sign of a NaN says nothing.
[[nodiscard]] double without_sign_of_nan(double value);
/// Numbers that are not finite become null.
[[nodiscard]] nlohmann::ordered_json metrics_row(const StepReport& report);
/// Adds the result of an evaluation after the row's step.
void add_evaluation(nlohmann::ordered_json& row, const Evaluation& evaluation);
/// For example: "val ce 5.432 (1.234 bits/byte)".
[[nodiscard]] std::string evaluation_text(const Evaluation& evaluation);
/// For example: "step 120/1000  ce 5.432  mean 5.501  aux 1.031  …  3 min 05 s left".
[[nodiscard]] std::string progress_text(const StepReport& report, std::int64_t total_steps, const Pace& pace);

}  // namespace granule
