#include "core/kernels/instruction_set.hpp"

#include <algorithm>
#include <cstdint>

#include <hwy/highway.h>
#include <hwy/targets.h>
#ifdef GRANULE_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

#include "core/error.hpp"

namespace granule {
namespace {

/// Bits of Highway's targets. A lower bit is a better instruction set.
std::vector<std::int64_t> usable() {
  return hwy::SupportedAndGeneratedTargets();
}

std::string name_of(std::int64_t target) {
  return hwy::TargetName(target);
}

/// How many steps it is away from the best possible one.
int rank_of(std::string_view name) {
  int bit = 0;
  while (bit < 62 && name != name_of(std::int64_t{1} << bit)) ++bit;
  return bit;
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

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const std::int64_t target : usable()) names.push_back(name_of(target));
  return names;
}

std::string instruction_set() {
  return name_of(usable().front());
}

bool use_instruction_set(std::string_view name) {
  const std::vector<std::int64_t> targets = usable();
  const auto wanted =
      std::ranges::find_if(targets, [&](std::int64_t target) { return name == name_of(target); });
  if (wanted == targets.end()) return false;
  hwy::DisableTargets(*wanted - 1);
  limit_products(*wanted);
  return true;
}

std::string common_instruction_set(std::span<const std::string> names) {
  return *std::ranges::max_element(names, {}, rank_of);
}

}  // namespace granule
