// What a row of metrics.jsonl says of the steps since the row before it.
#pragma once
#include <functional>
#include <map>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apps/training/step_report.hpp"

namespace granule {

/// Sums over the steps that were applied since the last row of a mean. They are in the checkpoint, so that
/// the record of a resumed run is the record of a straight one.
class StepMeans {
 public:
  StepMeans() = default;
  /// From what saved() gave.
  explicit StepMeans(const nlohmann::json& saved);
  [[nodiscard]] nlohmann::json saved() const;

  /// Of every step; one that was skipped is in no mean.
  void add(const StepReport& report);
  /// Turns the step's row into one of means and begins anew. The step's own losses and norm stay beside them,
  /// as ce_step and so on. The row of a skipped step says its own values, and the means wait for the next
  /// one.
  void put_into(nlohmann::ordered_json& row);

 private:
  std::int64_t steps_ = 0;
  double ce_ = 0.0, aux_ = 0.0, device_aux_ = 0.0, z_ = 0.0, grad_norm_ = 0.0, seconds_ = 0.0;
  std::map<std::string, double, std::less<>> seconds_by_phase_;  ///< of the steps that measured it
};

}  // namespace granule
