// Products of matrices that are stored in bf16, summed in float.
#pragma once
#include <vector>

#include "core/kernels/gemm.hpp"

namespace granule {

/// C[m,n] = A[m,k] B[k,n] + beta C on the calling thread, with m, n, k > 0. Out is bf16, rounded once after
/// the sum, or float. A row of C has the same bits for every m. It uses bf16_units(), and if these are none,
/// gemm_bf16_widened.
template <class Out>
void gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a, MatrixIn<bf16> b,
               MatrixOut<Out> c);

/// The same as the product of the widened matrices. It runs everywhere.
template <class Out>
void gemm_bf16_widened(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a, MatrixIn<bf16> b,
                       MatrixOut<Out> c);

/// The stored matrix of an operand with `rows` and `columns`, widened into a buffer.
[[nodiscard]] MatrixIn<float> widened_matrix(std::int64_t rows, std::int64_t columns, MatrixIn<bf16> x,
                                             std::vector<float>& buffer);

}  // namespace granule
