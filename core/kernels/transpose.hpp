// The transpose of a matrix.
#pragma once
#include <cstdint>

namespace granule {

/// out[columns, rows] = xᵀ for x[rows, columns], whose rows are x_pitch elements apart. Rows of out follow
/// each other. T is float or double.
template <class T>
void transpose(std::int64_t rows, std::int64_t columns, const T* x, std::int64_t x_pitch, T* out);

}  // namespace granule
