// Products of bf16 by the processor's own dot products (AVX512-BF16), which sum pairs of products in float.
// Call nothing of it unless has_bf16_units().
#pragma once
#include <cstdint>

#include "core/kernels/gemm.hpp"

namespace granule {

/// Whether this processor has them, and the program knows how to use them.
[[nodiscard]] bool has_bf16_units();

/// C[m,n] = A[m,k] B[k,n] + beta C on the calling thread, with m, n, k > 0. A row of C has the same bits for
/// every m and place. Sums run in the order of k, two products at a time, and numbers below 2^-126 count as
/// 0. Out is float or bf16.
template <class Out>
void gemm_bf16_units(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a, MatrixIn<bf16> b,
                     MatrixOut<Out> c);

/// Adds 2 · factor · term to every value `rounds` times, by dot products of two pairs, for the machine's
/// ceiling. `chains` is one of kFmaChains, and there are 16 values for each.
void advance_bf16(std::int64_t rounds, std::int64_t chains, bf16 factor, bf16 term, float* values);

}  // namespace granule
