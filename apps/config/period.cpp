#include "apps/config/period.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "apps/config/config_reader.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::string_view kForms = R"(give 500 (steps), "20Mt" (tokens), "1e" (epochs) or 0.8 (of the run))";
constexpr double kMaxCount = 9e15;  // below 2^53, so whole numbers are exact
constexpr double kMaxSteps = 1e15;

struct Scale {
  std::string_view suffix;
  double tokens;
};
constexpr std::array<Scale, 7> kScales{
    {{"Tt", 1e12}, {"Bt", 1e9}, {"Gt", 1e9}, {"Mt", 1e6}, {"Kt", 1e3}, {"kt", 1e3}, {"t", 1.0}}};

bool read_number(std::string_view text, double& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc() && end == text.data() + text.size();
}

/// Advice for "10%" and "20 Mt". Empty for anything else.
std::string nearly_a_period(const json& value) {
  if (!value.is_string()) return {};
  auto text = value.get<std::string>();
  double number = 0.0;
  if (text.ends_with('%') && read_number(text.substr(0, text.find_last_not_of(" %") + 1), number))
    return fmt::format("a share of the run is written as a fraction: {}", number / 100);
  if (std::erase(text, ' ') == 0) return {};
  for (const Scale& scale : kScales) {
    if (text.ends_with(scale.suffix) &&
        read_number(text.substr(0, text.size() - scale.suffix.size()), number))
      return fmt::format("write \"{}\", without a space", text);
  }
  return {};
}

[[noreturn]] void not_a_period(const ConfigEntry& entry) {
  const auto steps = whole_number_meant(entry.value);
  if (const std::string near = nearly_a_period(entry.value); !near.empty())
    wrong_type(entry, "a period", near);
  const std::string advice =
      steps ? fmt::format("{}: steps are written {}", kForms, *steps) : std::string(kForms);
  wrong_type(entry, "a period", advice);
}

Period checked(const ConfigEntry& entry, Period period) {
  const bool counts = period.unit == Period::Unit::steps || period.unit == Period::Unit::tokens;
  if (period.unit == Period::Unit::fraction && period.amount > 1.0) {
    const auto steps = whole_number_meant(period.amount);
    const std::string number = steps ? fmt::format(": {}", *steps) : "";
    out_of_range(entry, fmt::format("a fraction of the run, from 0.0 to 1.0; a number of steps is written "
                                    "without a point or exponent{}",
                                    number));
  }
  if (!(period.amount >= 0.0) || period.amount > kMaxCount)
    out_of_range(entry, "at least 0 and at most 9e15");
  if (counts && period.amount != std::floor(period.amount))
    wrong_type(entry, "a whole number of tokens", "give steps or tokens that are whole");
  return period;
}

Period period_of_text(const ConfigEntry& entry, std::string_view text) {
  Period period;
  for (const Scale& scale : kScales) {
    if (!text.ends_with(scale.suffix)) continue;
    if (!read_number(text.substr(0, text.size() - scale.suffix.size()), period.amount)) break;
    // "1.1Mt" means 1100000 tokens, although 1.1 has no exact double.
    return checked(entry, {Period::Unit::tokens, std::round(period.amount * scale.tokens * 1e3) / 1e3});
  }
  if (text.ends_with('e') && read_number(text.substr(0, text.size() - 1), period.amount)) {
    return checked(entry, {Period::Unit::epochs, period.amount});
  }
  if (!read_number(text, period.amount)) not_a_period(entry);
  const bool whole = text.find_first_of(".eE") == std::string_view::npos;
  return checked(entry, {whole ? Period::Unit::steps : Period::Unit::fraction, period.amount});
}

json whole_or_real(double amount) {
  if (amount == std::floor(amount)) return static_cast<std::int64_t>(amount);
  return amount;
}

std::string token_text(double amount) {
  for (const Scale& scale : kScales) {
    if (amount > 0 && std::fmod(amount, scale.tokens) == 0.0) {
      return fmt::format("{:.0f}{}", amount / scale.tokens, scale.suffix);
    }
  }
  return "0t";
}

double real_steps(const Period& period, const RunLength& run, std::string_view key) {
  switch (period.unit) {
    case Period::Unit::steps:
      return period.amount;
    case Period::Unit::tokens:
      return period.amount / static_cast<double>(run.tokens_per_step);
    case Period::Unit::fraction:
      if (run.total_steps == 0) {
        user_error(fmt::format("{} is a fraction of the run it would define", key), key,
                   "give it in steps (500), tokens (\"20Mt\") or epochs (\"1e\")");
      }
      return period.amount * static_cast<double>(run.total_steps);
    case Period::Unit::epochs:
      if (run.samples_per_epoch == 0) {
        user_error(fmt::format("{} is given in epochs, but there is no data to count them in", key), key,
                   "set data.path, or give it in steps or tokens");
      }
      return period.amount * static_cast<double>(run.samples_per_epoch) / static_cast<double>(run.batch_size);
  }
  return 0.0;
}

}  // namespace

Period period_of(const ConfigEntry& entry) {
  const json& value = entry.value;
  if (value.is_number_integer()) {
    return checked(entry, {Period::Unit::steps, static_cast<double>(value.get<std::int64_t>())});
  }
  if (value.is_number_float()) return checked(entry, {Period::Unit::fraction, value.get<double>()});
  if (!value.is_string()) not_a_period(entry);
  return period_of_text(entry, value.get<std::string>());
}

json to_json(const Period& period) {
  switch (period.unit) {
    case Period::Unit::steps:
      return static_cast<std::int64_t>(period.amount);
    case Period::Unit::tokens:
      return token_text(period.amount);
    case Period::Unit::epochs:
      return whole_or_real(period.amount).dump() + "e";
    case Period::Unit::fraction:
      return period.amount;
  }
  return {};
}

std::int64_t steps_in(const Period& period, const RunLength& run, std::string_view key) {
  GRANULE_CHECK(run.batch_size > 0 && run.tokens_per_step > 0, "{}: a step of {} sequences and {} tokens",
                key, run.batch_size, run.tokens_per_step);
  if (period.amount == 0.0) return 0;
  const double steps = std::round(real_steps(period, run, key));
  if (steps > kMaxSteps)
    user_error(fmt::format("{} comes to {:g} steps", key, steps), key, "at most 1e15 are possible");
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(steps));
}

}  // namespace granule
