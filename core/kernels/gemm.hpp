// Matrix products on the CPU: oneDNN for float32, Eigen for float64 and where oneDNN is switched off. The
// libraries run on one thread each; the product is cut into tiles by its shape alone.
#pragma once
#include <cstdint>

#include "core/parallel.hpp"

namespace granule {

enum class Transpose : bool { no, yes };

/// A row-major operand: `pitch` elements from one row to the next, so a column block of a wider matrix is a
/// pointer and a pitch. Transpose::yes: the stored matrix is the transpose of the operand.
template <class T>
struct MatrixIn {
  const T* data;
  std::int64_t pitch;
  Transpose transpose = Transpose::no;
};
/// beta 0 overwrites without reading, 1 adds.
template <class T>
struct MatrixOut {
  T* data;
  std::int64_t pitch;
  double beta = 0.0;
};

/// C[m,n] = A[m,k] B[k,n] + beta C on the calling thread. m, n or k may be 0. T: float, double.
template <class T>
void gemm_serial(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                 MatrixOut<T> c);

/// The same on all threads of the pool; the result does not depend on their number.
template <class T>
void gemm(ThreadPool& pool, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<T> c);

}  // namespace granule
