// The product of a matrix and a vector, by which a model generates token after token.
#pragma once
#include <cstdint>

namespace granule {

/// y[n] = w[n,k] x[k] + beta y, where rows of w are `pitch` elements apart and beta 0 overwrites without
/// reading. Each row of w is read once and in order, because the speed is that of the memory. An element of y
/// has the same bits in every product that has its row of w. T is float or double.
template <class T>
void dot_rows(std::int64_t n, std::int64_t k, const T* w, std::int64_t pitch, const T* x, T* y, double beta);

}  // namespace granule
