#include "core/kernels/swiglu.hpp"

#include <cmath>

namespace granule {

template <class T>
void swiglu_rows(const T* h, std::int64_t rows, std::int64_t f, T* y) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T *const g = h + r * 2 * f, *const u = g + f;
    for (std::int64_t i = 0; i < f; ++i) y[r * f + i] = g[i] / (T(1) + std::exp(-g[i])) * u[i];
  }
}

template <class T>
void swiglu_rows_backward(const T* h, const T* dy, std::int64_t rows, std::int64_t f, T* dh, double beta) {
  const bool add = beta != 0.0;
  for (std::int64_t r = 0; r < rows; ++r) {
    const T *const g = h + r * 2 * f, *const u = g + f, *const d = dy + r * f;
    T *const dg = dh + r * 2 * f, *const du = dg + f;
    for (std::int64_t i = 0; i < f; ++i) {
      const T sigmoid = T(1) / (T(1) + std::exp(-g[i]));
      const T to_gate = d[i] * u[i] * sigmoid * (T(1) + g[i] * (T(1) - sigmoid));
      const T to_up = d[i] * g[i] * sigmoid;
      dg[i] = add ? dg[i] + to_gate : to_gate;
      du[i] = add ? du[i] + to_up : to_up;
    }
  }
}

template void swiglu_rows(const float*, std::int64_t, std::int64_t, float*);
template void swiglu_rows(const double*, std::int64_t, std::int64_t, double*);
template void swiglu_rows_backward(const float*, const float*, std::int64_t, std::int64_t, float*, double);
template void swiglu_rows_backward(const double*, const double*, std::int64_t, std::int64_t, double*, double);

}  // namespace granule
