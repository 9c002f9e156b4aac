// Products of bf16 by the processor's own instructions, which sum products in float. `units` are vectors or
// tiles, and has_bf16_units(units).
#pragma once
#include <cstdint>

#include "core/kernels/bf16_support.hpp"
#include "core/kernels/gemm.hpp"

namespace granule {

/// C[m,n] = A[m,k] B[k,n] + beta C on the calling thread, with m, n, k > 0. A row of C has the same bits for
/// every m and place. Sums run in the order of k, two products at a time (vectors) or 32 (tiles, which leave
/// a shorter rest to vectors). Numbers below 2^-126 count as 0. Out is float or bf16.
template <class Out>
void gemm_bf16_units(Bf16Units units, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a,
                     MatrixIn<bf16> b, MatrixOut<Out> c);

/// The sums of one instruction, and how many products it adds to each.
struct Bf16Chain {
  std::int64_t sums = 0, products = 0;
};
[[nodiscard]] Bf16Chain bf16_chain(Bf16Units units);

/// Adds `products` · factor · term to every value `rounds` times, for the machine's ceiling. `chains` is one
/// of kFmaChains, and each has `sums` values.
void advance_bf16(Bf16Units units, std::int64_t rounds, std::int64_t chains, bf16 factor, bf16 term,
                  float* values);

}  // namespace granule
