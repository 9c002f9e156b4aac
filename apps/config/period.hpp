// A length of training as users write it: 500 (steps), "20Mt" (tokens), "1e" (epochs), 0.8 (of the run).
#pragma once
#include <cstdint>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace granule {

struct ConfigEntry;

struct Period {
  enum class Unit : std::uint8_t { steps, tokens, epochs, fraction };
  Unit unit = Unit::steps;
  double amount = 0.0;  ///< whole numbers below 2^53 for steps and tokens
  friend bool operator==(const Period&, const Period&) = default;
};

/// The quantities that are needed to convert a length into steps.
struct RunLength {
  std::int64_t batch_size = 0;         ///< sequences in a step, over all ranks
  std::int64_t tokens_per_step = 0;    ///< batch_size × seq_len
  std::int64_t samples_per_epoch = 0;  ///< 0 if unknown; then epochs are refused
  std::int64_t total_steps = 0;        ///< 0 if unknown; then fractions are refused
};

/// An integer is a number of steps, and a floating-point number is a fraction of the run in [0, 1]. A text
/// has a unit: t, Kt, Mt, Bt, Tt (tokens) or e (epochs). A text without a unit is read as a number. Throws a
/// user error.
[[nodiscard]] Period period_of(const ConfigEntry& entry);

/// The value that period_of reads as this period.
[[nodiscard]] nlohmann::json to_json(const Period& period);

/// The nearest whole number of steps, which is at least one unless the period is zero. Throws a user error
/// that names `key` for epochs without data, for fractions without a run, and for more than 10^15 steps.
[[nodiscard]] std::int64_t steps_in(const Period& period, const RunLength& run, std::string_view key);

}  // namespace granule
