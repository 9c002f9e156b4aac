// Products of bf16 by a right operand that is packed once for several products, for the processor's bf16
// units. `units` are vectors or tiles, which have the same packed form, and has_bf16_units(units).
#pragma once
#include "core/kernels/bf16_support.hpp"
#include "core/kernels/packed_gemm.hpp"

namespace granule {

/// Elements of the packed form of B[k,n].
[[nodiscard]] std::int64_t packed_bf16_size(std::int64_t n, std::int64_t k);
void pack_bf16(std::int64_t n, std::int64_t k, MatrixIn<bf16> b, bf16* packed);

/// C = A B + beta C on the calling thread, with some terms of each sum and some columns. A and C begin with
/// the first of these. A is not transposed, terms.begin is even, and columns.begin is a multiple of
/// kPanelColumns.
void packed_gemm_bf16(Bf16Units units, std::int64_t m, MatrixIn<bf16> a, const bf16* packed, std::int64_t k,
                      Range terms, Range columns, MatrixOut<float> c);

}  // namespace granule
