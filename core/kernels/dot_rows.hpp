// The inner product of two vectors, and that of a matrix and a vector, by which a model generates token after
// token. A plain loop would wait for each sum before the next, because its order is fixed.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"

namespace granule {

/// Σ a_i b_i over n elements. T is float, double or bf16.
template <class T>
[[nodiscard]] Wide<T> dot(const T* a, const T* b, std::int64_t n);

/// y[n] = w[n,k] x[k], to which any beta but 0 adds the y before. Rows of w are `pitch` elements apart. Each
/// is read once and in order, because the speed is that of the memory. With beta 0, an element of y has the
/// bits of dot(), or they are rounded to bf16 if y is stored so.
template <class T, class Out>
void dot_rows(std::int64_t n, std::int64_t k, const T* w, std::int64_t pitch, const T* x, Out* y,
              double beta);

}  // namespace granule
