#include "core/kernels/adamw.hpp"

#include <cmath>

namespace granule {

template <class T>
void adamw_update(T* w, T* m, T* v, const T* g, std::int64_t n, const AdamWStep& step) {
  const T scale = static_cast<T>(step.gradient_scale), b1 = static_cast<T>(step.beta1),
          b2 = static_cast<T>(step.beta2);
  const T c1 = static_cast<T>(1.0 - step.beta1), c2 = static_cast<T>(1.0 - step.beta2);
  const T keep = static_cast<T>(step.keep), rate = static_cast<T>(step.rate);
  const T root_scale = static_cast<T>(step.root_scale), eps = static_cast<T>(step.eps);
  for (std::int64_t i = 0; i < n; ++i) {
    const T grad = scale * g[i];
    m[i] = b1 * m[i] + c1 * grad;
    v[i] = b2 * v[i] + c2 * grad * grad;
    w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i]) * root_scale + eps);
  }
}

template <class T>
double sum_of_squares(const T* g, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return sum;
}

template void adamw_update(float*, float*, float*, const float*, std::int64_t, const AdamWStep&);
template void adamw_update(double*, double*, double*, const double*, std::int64_t, const AdamWStep&);
template double sum_of_squares(const float*, std::int64_t);
template double sum_of_squares(const double*, std::int64_t);

}  // namespace granule
