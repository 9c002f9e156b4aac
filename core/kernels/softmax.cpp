#include "core/kernels/softmax.hpp"

#include <algorithm>
#include <cmath>

namespace granule {

template <class T>
double softmax_row(T* x, std::int64_t n, T scale) {
  const T largest = *std::max_element(x, x + n) * scale;
  T sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i] = std::exp(scale * x[i] - largest);
  const T inverse = T(1) / sum;
  for (std::int64_t i = 0; i < n; ++i) x[i] *= inverse;
  return static_cast<double>(largest) + std::log(static_cast<double>(sum));
}

template <class T>
void softmax_row_again(T* x, std::int64_t n, T scale, T log_sum) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = std::exp(scale * x[i] - log_sum);
}

template <class T>
void softmax_row_backward(const T* p, T* dp, std::int64_t n, T scale, T shift) {
  for (std::int64_t i = 0; i < n; ++i) dp[i] = scale * p[i] * (dp[i] - shift);
}

template double softmax_row(float*, std::int64_t, float);
template double softmax_row(double*, std::int64_t, double);
template void softmax_row_again(float*, std::int64_t, float, float);
template void softmax_row_again(double*, std::int64_t, double, double);
template void softmax_row_backward(const float*, float*, std::int64_t, float, float);
template void softmax_row_backward(const double*, double*, std::int64_t, double, double);

}  // namespace granule
