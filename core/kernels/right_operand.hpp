// The right operand of several products, stored so that each of them is fast: in the panels of
// packed_gemm.hpp for float32, in those of packed_bf16.hpp for bf16, and otherwise row by row. A product of
// few terms reads it where it lies.
#pragma once
#include "core/kernels/packed_gemm.hpp"

namespace granule {

/// B[k, n]. T is float, double or bf16.
template <class T>
struct RightOperand {
  const T* data = nullptr;
  std::int64_t n = 0, k = 0;

  /// Elements of B as it is stored here. If no bf16 units are used, that is twice as many, because it is
  /// widened.
  [[nodiscard]] static std::int64_t elements(std::int64_t n, std::int64_t k);
  /// Stores B in memory of that many elements, which is aligned to 64 bytes.
  static RightOperand store(std::int64_t n, std::int64_t k, MatrixIn<T> b, T* memory);

  /// C = A B on the calling thread with some terms of each sum and some columns. A and C begin with the first
  /// of these. A is not transposed, and both ranges begin at multiples of kPanelColumns.
  void multiply(std::int64_t m, MatrixIn<T> a, Range terms, Range columns, MatrixOut<Wide<T>> c) const;
};

/// C = A B + beta C on the calling thread for a B that is used once, has few rows and is not transposed. In
/// float32 its rows begin at multiples of 64 bytes, and can be read up to the next multiple of kPanelColumns.
template <class T>
void multiply_few_terms(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                        MatrixOut<Wide<T>> c);

}  // namespace granule
