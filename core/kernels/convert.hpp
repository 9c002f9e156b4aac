// Rows of bf16 to float and back, for kernels that compute blocks of them in float.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"

namespace granule {

void widen_row(const bf16* from, std::int64_t n, float* to);
/// to = from, or to + from with add, rounded once.
void round_row(const float* from, std::int64_t n, bf16* to, bool add = false);

}  // namespace granule
