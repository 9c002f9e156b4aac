#include "core/kernels/instruction_set.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <hwy/highway.h>
#include <hwy/targets.h>
#ifdef GRANULE_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include "core/error.hpp"
#include "core/kernels/gemm_bf16_units.hpp"

namespace granule {
namespace {

constexpr std::string_view kWithUnits = "+bf16";

/// Whether the processor's bf16 units may be used. The choice of Highway's target is as global as this is.
std::atomic<bool> units_allowed{true};

/// Bits of Highway's targets. A lower bit is a better instruction set.
std::vector<std::int64_t> usable() {
  return hwy::SupportedAndGeneratedTargets();
}

std::string name_of(std::int64_t target) {
  return hwy::TargetName(target);
}

/// How many steps it is away from the best possible one.
int rank_of(std::string_view name) {
  const bool with_units = name.ends_with(kWithUnits);
  if (with_units) name.remove_suffix(kWithUnits.size());
  int bit = 0;
  while (bit < 62 && name != name_of(std::int64_t{1} << bit)) ++bit;
  return with_units ? bit : 63 + bit;  // any set without units comes after all that have them
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

bool uses_bf16_units() {
  static const bool has = has_bf16_units();
  return has && units_allowed;
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const std::int64_t target : usable()) {
    if (uses_bf16_units() && target <= HWY_AVX3) names.push_back(name_of(target) + std::string(kWithUnits));
  }
  for (const std::int64_t target : usable()) names.push_back(name_of(target));
  return names;
}

std::string instruction_set() {
  return instruction_sets().front();
}

bool use_instruction_set(std::string_view name) {
  const std::vector<std::string> names = instruction_sets();
  if (std::ranges::find(names, name) == names.end()) return false;
  if (name.ends_with(kWithUnits)) {
    name.remove_suffix(kWithUnits.size());
  } else {
    units_allowed = false;
  }
  const std::vector<std::int64_t> targets = usable();
  const std::int64_t wanted =
      *std::ranges::find_if(targets, [&](std::int64_t target) { return name == name_of(target); });
  hwy::DisableTargets(wanted - 1);
  limit_products(wanted);
  return true;
}

std::string common_instruction_set(std::span<const std::string> names) {
  return *std::ranges::max_element(names, {}, rank_of);
}

}  // namespace granule
