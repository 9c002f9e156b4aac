// The reference's vectors: models of a few thousand parameters with their logits, losses, gradients and three
// AdamW steps. They were computed in float64 from the published model's definition
// (tests/fixtures/golden/README.md).
#pragma once
#include <string>
#include <vector>

#include "data/models/safetensors.hpp"
#include "moe/training/objective.hpp"

namespace granule::test {

class Golden {
 public:
  explicit Golden(const std::string& name);
  [[nodiscard]] static const std::vector<std::string>& names();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const ModelConfig& model() const { return model_; }
  [[nodiscard]] const MoeConfig& moe() const { return moe_; }
  [[nodiscard]] std::int64_t batch() const { return batch_; }
  [[nodiscard]] std::int64_t seq() const { return seq_; }
  [[nodiscard]] const std::vector<double>& learning_rates() const { return rates_; }

  /// All numbers of a tensor of any float type.
  [[nodiscard]] std::vector<double> numbers(const std::string& key) const;
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& key) const;
  [[nodiscard]] bool has(const std::string& key) const { return file_.find(key).has_value(); }

  /// The batch of step 0, 1 or 2. Its labels are shifted inside the window, so the last position has no
  /// target.
  [[nodiscard]] MicroBatch micro_batch(Context& context, std::int64_t step) const;
  [[nodiscard]] StepTotals totals() const { return {batch_ * (seq_ - 1), batch_, 1}; }
  /// Loads the initial weights.
  void load_init(ParameterStore& store) const;

 private:
  std::string name_;
  SafetensorsFile file_;
  ModelConfig model_;
  MoeConfig moe_;
  std::int64_t batch_ = 0, seq_ = 0;
  std::vector<double> rates_;
};

}  // namespace granule::test
