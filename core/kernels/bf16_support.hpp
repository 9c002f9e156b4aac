// What this processor has for products of bf16.
#pragma once
#include <vector>

namespace granule {

/// How products of bf16 are computed: as products of the widened numbers, by vectors that sum pairs of
/// products (AVX512-BF16), or by tiles (AMX).
enum class Bf16Units { none, vectors, tiles };

/// Whether the processor and the system let this program use them. Where there are tiles, there are vectors.
[[nodiscard]] bool has_bf16_units(Bf16Units units);

/// All that can be used, fastest first. Which are faster is known of the kind of processor, and not measured,
/// because bits must not depend on a measurement.
[[nodiscard]] std::vector<Bf16Units> bf16_units_by_speed();

}  // namespace granule
