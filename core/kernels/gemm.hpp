// Matrix products on the CPU. Float32 uses our own kernels (packed_gemm.hpp). With AVX-512, oneDNN computes
// many of those whose B is not transposed. bf16 has kernels of its own (gemm_bf16.hpp), and float64 uses
// Eigen. So does float32 without AVX2. Each runs on one thread. The number of threads decides no bit of a
// product. Equal rows of A give equal rows of C, bit for bit, independently of their position and of the
// other rows.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"
#include "core/parallel.hpp"

namespace granule {

enum class Transpose : bool { no, yes };

/// A row-major operand. `pitch` is the number of elements from one row to the next. So a column block of a
/// wider matrix is a pointer and a pitch. With Transpose::yes the stored matrix is the transpose of the
/// operand.
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

/// How a product of one row is computed. `like_others` gives the bits that the row would have among others.
/// `alone` uses a product of a matrix and a vector, which is many times as fast in float32 but may differ in
/// its bits.
enum class OneRow : bool { like_others, alone };

/// C[m,n] = A[m,k] B[k,n] + beta C on the calling thread. m, n or k may be 0. T is float, double or bf16. Out
/// is T, or float for bf16: sums are float then, and rounded only if C is stored in bf16. A row of C has the
/// same bits for every m, except with OneRow::alone.
template <class T, class Out = T>
void gemm_serial(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                 MatrixOut<Out> c, OneRow one_row = OneRow::like_others);

/// The same on all threads of the pool. The result does not depend on their number. From 128 columns on,
/// tiles are also cut along m. A row's bits may then depend on m, but not on its position.
template <class T, class Out = T>
void gemm(ThreadPool& pool, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<Out> c, OneRow one_row = OneRow::alone);

}  // namespace granule
