#include "core/kernels/dot_rows.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/dot_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// Four sums hide the latency of a multiply-add.
template <class T>
HWY_INLINE T dot_of(const T* a, const T* b, std::int64_t k) {
  const hn::ScalableTag<T> d;
  const std::int64_t step = lanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 4 * step <= k; i += 4 * step) {
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, a + i + step), hn::LoadU(d, b + i + step), sum1);
    sum2 = hn::MulAdd(hn::LoadU(d, a + i + 2 * step), hn::LoadU(d, b + i + 2 * step), sum2);
    sum3 = hn::MulAdd(hn::LoadU(d, a + i + 3 * step), hn::LoadU(d, b + i + 3 * step), sum3);
  }
  for (; i + step <= k; i += step) sum0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum0);
  if (i < k) sum1 = hn::MulAdd(load_first(d, a + i, k - i), load_first(d, b + i, k - i), sum1);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

// Rows are read one after the other. Two or more at once took twice as long, because they are several
// streams.
template <class T>
void dot_rows_of(std::int64_t n, std::int64_t k, const T* w, std::int64_t pitch, const T* x, T* y,
                 double beta) {
  for (std::int64_t i = 0; i < n; ++i, w += pitch) {
    const T sum = dot_of(w, x, k);
    y[i] = beta == 0.0 ? sum : y[i] + sum;
  }
}

float dot_f32(const float* a, const float* b, std::int64_t n) {
  return dot_of(a, b, n);
}
double dot_f64(const double* a, const double* b, std::int64_t n) {
  return dot_of(a, b, n);
}
void dot_rows_f32(std::int64_t n, std::int64_t k, const float* w, std::int64_t pitch, const float* x,
                  float* y, double beta) {
  dot_rows_of(n, k, w, pitch, x, y, beta);
}
void dot_rows_f64(std::int64_t n, std::int64_t k, const double* w, std::int64_t pitch, const double* x,
                  double* y, double beta) {
  dot_rows_of(n, k, w, pitch, x, y, beta);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(dot_f32);
HWY_EXPORT(dot_f64);
HWY_EXPORT(dot_rows_f32);
HWY_EXPORT(dot_rows_f64);

template <>
float dot(const float* a, const float* b, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_f32)(a, b, n);
}
template <>
double dot(const double* a, const double* b, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_f64)(a, b, n);
}

template <class T>
void dot_rows(std::int64_t n, std::int64_t k, const T* w, std::int64_t pitch, const T* x, T* y, double beta) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(dot_rows_f32)(n, k, w, pitch, x, y, beta);
  } else {
    HWY_DYNAMIC_DISPATCH(dot_rows_f64)(n, k, w, pitch, x, y, beta);
  }
}

template void dot_rows(std::int64_t, std::int64_t, const float*, std::int64_t, const float*, float*, double);
template void dot_rows(std::int64_t, std::int64_t, const double*, std::int64_t, const double*, double*,
                       double);

}  // namespace granule
#endif
