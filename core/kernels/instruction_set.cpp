#include "core/kernels/instruction_set.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <hwy/highway.h>
#include <hwy/targets.h>
#ifdef GRANULE_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include "core/error.hpp"
#include "core/kernels/bf16_support.hpp"

namespace granule {
namespace {

/// What follows the name of a target, by Bf16Units.
constexpr std::array<std::string_view, 3> kSuffixes{"", "+bf16", "+amx"};

std::string_view suffix(Bf16Units units) {
  return kSuffixes[static_cast<std::size_t>(units)];
}

/// The best units that may be used, if somebody has chosen. The choice of Highway's target is as global as
/// this is.
constinit std::atomic<std::optional<Bf16Units>> chosen_units{};

/// The units that may be used, best first.
std::vector<Bf16Units> usable_units() {
  std::vector<Bf16Units> units = bf16_units_by_speed();
  const std::optional<Bf16Units> best = chosen_units;
  if (!best) return units;
  std::erase_if(units, [&](Bf16Units each) { return each > *best; });
  std::ranges::sort(units, std::ranges::greater());
  return units;
}

/// The name of a target and the units of a name of both.
std::pair<std::string_view, Bf16Units> parts_of(std::string_view name) {
  for (const Bf16Units units : {Bf16Units::tiles, Bf16Units::vectors}) {
    if (name.ends_with(suffix(units))) return {name.substr(0, name.size() - suffix(units).size()), units};
  }
  return {name, Bf16Units::none};
}

/// Bits of Highway's targets. A lower bit is a better instruction set.
std::vector<std::int64_t> usable() {
  return hwy::SupportedAndGeneratedTargets();
}

std::string name_of(std::int64_t target) {
  return hwy::TargetName(target);
}

/// oneDNN chooses by itself, among the same instruction sets under other names.
void limit_products([[maybe_unused]] std::int64_t target) {
#ifdef GRANULE_WITH_ONEDNN
  if (target < HWY_AVX2) return;
  const dnnl_cpu_isa_t most = target == HWY_AVX2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41;
  const dnnl_status_t status = dnnl_set_max_cpu_isa(most);
  GRANULE_CHECK(status == dnnl_success, "oneDNN reports status {} for its instruction set",
                static_cast<int>(status));
#endif
}

}  // namespace

Bf16Units bf16_units() {
  static const Bf16Units best = bf16_units_by_speed().front();
  return chosen_units.load().value_or(best);
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  // Where there are units for bf16, there is AVX-512.
  for (const Bf16Units units : usable_units()) {
    for (const std::int64_t target : usable()) {
      if (target <= HWY_AVX3) names.push_back(fmt::format("{}{}", name_of(target), suffix(units)));
    }
  }
  for (const std::int64_t target : usable()) {
    if (target > HWY_AVX3) names.push_back(name_of(target));
  }
  return names;
}

std::string instruction_set() {
  return instruction_sets().front();
}

bool use_instruction_set(std::string_view name) {
  const std::vector<std::string> names = instruction_sets();
  if (std::ranges::find(names, name) == names.end()) return false;
  const auto parts = parts_of(name);
  chosen_units = parts.second;
  const std::vector<std::int64_t> targets = usable();
  const std::int64_t wanted =
      *std::ranges::find_if(targets, [&](std::int64_t target) { return parts.first == name_of(target); });
  hwy::DisableTargets(wanted - 1);
  limit_products(wanted);
  return true;
}

std::string common_instruction_set(std::span<const std::string> names) {
  std::int64_t target = 0;
  Bf16Units units = Bf16Units::tiles;
  for (const std::string& name : names) {
    const auto parts = parts_of(name);
    std::int64_t bit = 0;
    while (bit < 62 && parts.first != name_of(std::int64_t{1} << bit)) ++bit;
    target = std::max(target, bit);
    units = std::min(units, parts.second);
  }
  return fmt::format("{}{}", name_of(std::int64_t{1} << target), suffix(units));
}

}  // namespace granule
