#include "apps/sweep/cells/solver.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "apps/config/config_reader.hpp"
#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

constexpr std::int64_t kWidest = std::int64_t{1} << 20;
/// So far from the width with the exact amount a possible one is looked for. Heads and groups divide widths,
/// and their product is smaller.
constexpr std::int64_t kReach = 8192;

class Amounts {
 public:
  Amounts(const WidthQuestion& question, RunConfig config)
      : question_(question),
        config_(std::move(config)),
        key_(*std::ranges::find(config_keys(), question.key, &ConfigKey::name)) {}

  /// Models that are too large to be counted have an infinite amount.
  double operator()(std::int64_t width) {
    key_.set(config_, {std::string(key_.name), width, {}, {}, {}});
    try {
      return amount_of(question_.budget, config_, question_.steps);
    } catch (const Error&) {
      return std::numeric_limits<double>::infinity();
    }
  }

 private:
  const WidthQuestion& question_;
  RunConfig config_;
  const ConfigKey& key_;
};

/// The least width with at least the target's amount, or the widest.
std::int64_t first_that_reaches(Amounts& amount, double target) {
  std::int64_t low = 1, high = kWidest;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (amount(middle) >= target) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

std::optional<std::int64_t> nearest_possible(std::int64_t from, std::int64_t step,
                                             const WidthIsPossible& possible) {
  for (std::int64_t width = from; width >= 1 && width <= kWidest && std::abs(width - from) <= kReach;
       width += step) {
    if (possible(width)) return width;
  }
  return std::nullopt;
}

}  // namespace

double amount_of(Budget budget, const RunConfig& config, std::int64_t steps) {
  if (budget == Budget::flops) {
    const std::int64_t tokens = config.train.batch_size * config.data.seq_len;
    return training_flops(config.model, config.moe, tokens, config.data.seq_len) * static_cast<double>(steps);
  }
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  return static_cast<double>(budget == Budget::total_params ? counts.total() : counts.activated());
}

Solution solve_width(const WidthQuestion& question, RunConfig config, const WidthIsPossible& possible,
                     std::string_view where) {
  Amounts amount(question, std::move(config));
  if (amount(1) == amount(kWidest))
    user_error(fmt::format("{} does not change {}", question.key, name_of(question.budget)), where,
               "choose another solve_key: this model has no layer of that width");
  const std::int64_t reaches = first_that_reaches(amount, question.target);
  std::optional<Solution> best;
  for (const auto& width :
       {nearest_possible(reaches - 1, -1, possible), nearest_possible(reaches, 1, possible)}) {
    if (!width) continue;
    const double there = amount(*width);
    const Solution solution{*width, there, there / question.target - 1.0};
    if (!best || std::abs(solution.residual) < std::abs(best->residual)) best = solution;
  }
  if (!best)
    user_error(fmt::format("no {} near {} is possible", question.key, reaches), where,
               "choose another solve_key");
  return *best;
}

}  // namespace granule
