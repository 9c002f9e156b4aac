#include "moe/training/bias_balance.hpp"

#include <numeric>
#include <vector>

#include "core/kernels/accumulate.hpp"
#include "core/transfer.hpp"

namespace granule {
namespace {

/// The sign of mean(counts) − count, computed in integers so that no rounding decides.
float direction(std::int64_t count, std::int64_t total, std::int64_t experts) {
  const std::int64_t excess = count * experts - total;
  return static_cast<float>((excess < 0 ? 1 : 0) - (excess > 0 ? 1 : 0));
}

void move(const Tensor& bias_E, std::span<const std::int64_t> counts, float speed) {
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  std::vector<float> steps;
  for (const std::int64_t count : counts)
    steps.push_back(speed * direction(count, total, std::ssize(counts)));
  const Tensor step_E =
      Tensor::empty(bias_E.context(), bias_E.shape(), bias_E.dtype(), MemoryCategory::scratch);
  write<float>(steps, step_E);
  accumulate(step_E, {bias_E, 1.0});
}

}  // namespace

std::string selection_bias_name(std::int64_t layer) {
  return fmt::format("model.layers.{}.mlp.gate.e_score_correction_bias", layer);
}

void update_selection_bias(Model& model, const RouterRecord& record) {
  const double speed = model.moe().bias_update_speed;
  if (speed == 0.0) return;
  for (std::int64_t i = 0; i < record.layers(); ++i) {
    const State& bias =
        model.parameters().state(selection_bias_name(model.moe_layers()[static_cast<std::size_t>(i)]));
    move(bias.value, record.counts(i), static_cast<float>(speed));
  }
}

}  // namespace granule
