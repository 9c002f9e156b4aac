// The transpose of a matrix.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"

namespace granule {

/// out[columns, rows] = xᵀ for x[rows, columns], whose rows are x_pitch elements apart. Rows of out follow
/// each other. T is float, double or bf16.
template <class T>
void transpose(std::int64_t rows, std::int64_t columns, const T* x, std::int64_t x_pitch, T* out);

}  // namespace granule
