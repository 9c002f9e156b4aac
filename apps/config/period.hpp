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
  double amount = 0.0;  ///< steps and tokens are whole numbers below 2^53
  friend bool operator==(const Period&, const Period&) = default;
};

/// What a length is measured against.
struct RunLength {
  std::int64_t batch_size = 0;         ///< sequences a step, over all ranks
  std::int64_t tokens_per_step = 0;    ///< batch_size × seq_len
  std::int64_t samples_per_epoch = 0;  ///< 0: unknown, epochs are refused
  std::int64_t total_steps = 0;        ///< 0: unknown, fractions are refused
};

/// An integer counts steps, a float is a fraction of the run in [0, 1], a text has a unit: t, Kt, Mt, Bt, Tt
/// (tokens), e (epochs); a text without one reads as the number would. Throws a user error.
[[nodiscard]] Period period_of(const ConfigEntry& entry);

/// The value that period_of reads as the same period.
[[nodiscard]] nlohmann::json to_json(const Period& period);

/// Nearest whole number of steps, at least one unless the period is zero. `key` names it in the user error
/// for epochs without data, fractions without a run, and more than 10^15 steps.
[[nodiscard]] std::int64_t steps_in(const Period& period, const RunLength& run, std::string_view key);

}  // namespace granule
