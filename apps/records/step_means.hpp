// What a row of metrics.jsonl says about the steps since the previous row.
#pragma once
#include <functional>
#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apps/records/step_report.hpp"

namespace granule {

/// Sums over the steps that were applied since the last row with means. They are in the checkpoint, so a
/// resumed run has the same record as an uninterrupted one.
class StepMeans {
 public:
  StepMeans() = default;
  /// Restores what saved() gave.
  explicit StepMeans(const nlohmann::json& saved);
  [[nodiscard]] nlohmann::json saved() const;

  /// Call it for every step. A skipped step is not in the means.
  void add(const StepReport& report);
  /// Turns the step's row into a row of means, and starts new ones. The step's own losses and norm stay in
  /// the row, as ce_step and so on. The row of a skipped step has its own values, and the means go into the
  /// next row.
  void put_into(nlohmann::ordered_json& row);

 private:
  std::int64_t steps_ = 0;
  double ce_ = 0.0, aux_ = 0.0, device_aux_ = 0.0, z_ = 0.0, grad_norm_ = 0.0, seconds_ = 0.0;
  std::map<std::string, double, std::less<>> seconds_by_phase_;  ///< of the steps that measured it
};

}  // namespace granule
