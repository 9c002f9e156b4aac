#include "core/kernels/transpose.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/transpose.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/panels-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// Transposes as many rows as whole vectors have, and returns their number.
std::int64_t transpose_vectors(std::int64_t rows, std::int64_t columns, const float* x, std::int64_t x_pitch,
                               float* out) {
  std::int64_t row = 0;
  for (; row + kLanes <= rows; row += kLanes)
    transpose_lines(x + row * x_pitch, x_pitch, kLanes, columns, out + row, rows);
  return row;
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(transpose_vectors);

}  // namespace

template <class T>
void transpose(std::int64_t rows, std::int64_t columns, const T* x, std::int64_t x_pitch, T* out) {
  // Squares, whose lines of memory stay in the cache.
  constexpr std::int64_t kSide = 16;
  std::int64_t first = 0;
  if constexpr (std::is_same_v<T, float>)
    first = HWY_DYNAMIC_DISPATCH(transpose_vectors)(rows, columns, x, x_pitch, out);
  for (std::int64_t row = first; row < rows; row += kSide) {
    for (std::int64_t column = 0; column < columns; column += kSide) {
      for (std::int64_t c = column; c < std::min(column + kSide, columns); ++c)
        for (std::int64_t r = row; r < std::min(row + kSide, rows); ++r)
          out[c * rows + r] = x[r * x_pitch + c];
    }
  }
}

template void transpose(std::int64_t, std::int64_t, const float*, std::int64_t, float*);
template void transpose(std::int64_t, std::int64_t, const double*, std::int64_t, double*);

}  // namespace granule
#endif
