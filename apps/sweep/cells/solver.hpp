// Chooses the width with which a model has a given budget.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "apps/config/run_config.hpp"
#include "apps/sweep/cells/sweep_table.hpp"

namespace granule {

/// Activated or total parameters, or the training FLOPs of a whole run of `steps` steps.
[[nodiscard]] double amount_of(Budget budget, const RunConfig& config, std::int64_t steps);

struct Solution {
  std::int64_t width = 0;
  double amount = 0.0;
  double residual = 0.0;  ///< amount / target − 1
};

/// Whether a config may have this width, for example because heads divide it.
using WidthIsPossible = std::function<bool(std::int64_t width)>;

struct WidthQuestion {
  Budget budget = Budget::none;
  double target = 0.0;
  std::string_view key;    ///< the width to choose
  std::int64_t steps = 0;  ///< of the run, for FLOPs
};

/// The possible width with the amount nearest to the target. The amount must not fall as the width grows. It
/// throws a user error (`where`) if the amount does not depend on the key, or if nothing near is possible.
[[nodiscard]] Solution solve_width(const WidthQuestion& question, RunConfig config,
                                   const WidthIsPossible& possible, std::string_view where);

}  // namespace granule
