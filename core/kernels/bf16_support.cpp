#include "core/kernels/bf16_support.hpp"

#include <utility>

#include "core/kernels/bf16_panels-inl.hpp"

#ifdef GRANULE_BF16
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace granule {
namespace {

#ifdef GRANULE_BF16

bool has_vectors() {
  return __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
}

/// A bit of EDX in leaf 7 of CPUID. Clang 14 does not know these features by name.
bool has_feature(unsigned bit) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> bit & 1U) != 0;
}

/// Whether the system gives this process the registers of tiles.
bool may_use_tiles() {
#ifdef __linux__
  // It does so only if it is asked: ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA.
  constexpr long kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

bool has_tiles() {
  constexpr unsigned kAmxBf16 = 22, kAmxTile = 24;
  return has_vectors() && has_feature(kAmxBf16) && has_feature(kAmxTile) && may_use_tiles();
}

/// Intel's processors since Sapphire Rapids, which are told by AVX512-FP16. An Emerald Rapids begins a dot
/// product only in every second cycle, and multiplies float32 twice as fast.
bool has_slow_vectors() {
  constexpr unsigned kFp16 = 23;
  return __builtin_cpu_is("intel") != 0 && has_feature(kFp16);
}

#else

bool has_vectors() {
  return false;
}
bool has_tiles() {
  return false;
}
bool has_slow_vectors() {
  return false;
}

#endif

}  // namespace

bool has_bf16_units(Bf16Units units) {
  static const bool vectors = has_vectors(), tiles = has_tiles();
  if (units == Bf16Units::tiles) return tiles;
  return units == Bf16Units::none || vectors;
}

std::vector<Bf16Units> bf16_units_by_speed() {
  std::vector<Bf16Units> units;
  for (const Bf16Units each : {Bf16Units::tiles, Bf16Units::vectors, Bf16Units::none}) {
    if (has_bf16_units(each)) units.push_back(each);
  }
  if (has_slow_vectors() && units.size() > 1) std::swap(units[units.size() - 2], units.back());
  return units;
}

}  // namespace granule
