// A model small enough for a test and odd enough to catch mistakes, with random tokens to train it on.
#pragma once
#include "moe/objective.hpp"
#include "moe/routing/router_record.hpp"
#include "tests/support/tensors.hpp"

namespace granule::test {

[[nodiscard]] ModelConfig small_model_config();
/// 8 experts top-3, 2 shared, dense first layer, sequence-level loss, α 0.05.
[[nodiscard]] MoeConfig small_moe_config();

/// One model with its context, initial values drawn with `seed`.
struct SmallModel {
  Context context;
  Model model;
  RouterRecord record;

  explicit SmallModel(DType dtype, int threads = 1, const ModelConfig& config = small_model_config(),
                      const MoeConfig& moe = small_moe_config());

  /// Losses and gradients of one global batch, cut into micro-batches of `micro` of its sequences.
  LossReport run(std::int64_t sequences, std::int64_t micro, Recompute recompute = Recompute::none,
                 UnitObserver* units = nullptr);
  /// The flat gradients, as float64.
  [[nodiscard]] std::vector<double> gradients() const;
  [[nodiscard]] std::vector<double> gradient(const std::string& name) const;
};

inline constexpr std::int64_t kSmallSeq = 12;

/// Sequences [first, first + count) of a fixed random text.
[[nodiscard]] MicroBatch small_batch(Context& context, const ModelConfig& config, std::int64_t first,
                                     std::int64_t count);

}  // namespace granule::test
