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
HWY_INLINE Wide<T> dot_of(const T* a, const T* b, std::int64_t k) {
  const hn::ScalableTag<Wide<T>> d;
  const std::int64_t step = lanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 4 * step <= k; i += 4 * step) {
    sum0 = hn::MulAdd(load(d, a + i), load(d, b + i), sum0);
    sum1 = hn::MulAdd(load(d, a + i + step), load(d, b + i + step), sum1);
    sum2 = hn::MulAdd(load(d, a + i + 2 * step), load(d, b + i + 2 * step), sum2);
    sum3 = hn::MulAdd(load(d, a + i + 3 * step), load(d, b + i + 3 * step), sum3);
  }
  for (; i + step <= k; i += step) sum0 = hn::MulAdd(load(d, a + i), load(d, b + i), sum0);
  if (i < k) sum1 = hn::MulAdd(load_first(d, a + i, k - i), load_first(d, b + i, k - i), sum1);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

// Rows are read one after the other. Two or more at once took twice as long, because they are several
// streams.
template <class T, class Out>
void dot_rows_of(std::int64_t n, std::int64_t k, const T* w, std::int64_t pitch, const T* x, Out* y,
                 double beta) {
  for (std::int64_t i = 0; i < n; ++i, w += pitch) {
    const Wide<T> sum = dot_of(w, x, k);
    y[i] = static_cast<Out>(beta == 0.0 ? sum : static_cast<Wide<T>>(y[i]) + sum);
  }
}

float dot_f32(const float* a, const float* b, std::int64_t n) {
  return dot_of(a, b, n);
}
double dot_f64(const double* a, const double* b, std::int64_t n) {
  return dot_of(a, b, n);
}
float dot_bf16(const bf16* a, const bf16* b, std::int64_t n) {
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
void dot_rows_bf16(std::int64_t n, std::int64_t k, const bf16* w, std::int64_t pitch, const bf16* x, bf16* y,
                   double beta) {
  dot_rows_of(n, k, w, pitch, x, y, beta);
}
void dot_rows_bf16_f32(std::int64_t n, std::int64_t k, const bf16* w, std::int64_t pitch, const bf16* x,
                       float* y, double beta) {
  dot_rows_of(n, k, w, pitch, x, y, beta);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(dot_f32);
HWY_EXPORT(dot_f64);
HWY_EXPORT(dot_bf16);
HWY_EXPORT(dot_rows_f32);
HWY_EXPORT(dot_rows_f64);
HWY_EXPORT(dot_rows_bf16);
HWY_EXPORT(dot_rows_bf16_f32);

template <>
float dot(const float* a, const float* b, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_f32)(a, b, n);
}
template <>
double dot(const double* a, const double* b, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_f64)(a, b, n);
}
template <>
float dot(const bf16* a, const bf16* b, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_bf16)(a, b, n);
}

template <>
void dot_rows(std::int64_t n, std::int64_t k, const float* w, std::int64_t pitch, const float* x, float* y,
              double beta) {
  HWY_DYNAMIC_DISPATCH(dot_rows_f32)(n, k, w, pitch, x, y, beta);
}
template <>
void dot_rows(std::int64_t n, std::int64_t k, const double* w, std::int64_t pitch, const double* x, double* y,
              double beta) {
  HWY_DYNAMIC_DISPATCH(dot_rows_f64)(n, k, w, pitch, x, y, beta);
}
template <>
void dot_rows(std::int64_t n, std::int64_t k, const bf16* w, std::int64_t pitch, const bf16* x, bf16* y,
              double beta) {
  HWY_DYNAMIC_DISPATCH(dot_rows_bf16)(n, k, w, pitch, x, y, beta);
}
template <>
void dot_rows(std::int64_t n, std::int64_t k, const bf16* w, std::int64_t pitch, const bf16* x, float* y,
              double beta) {
  HWY_DYNAMIC_DISPATCH(dot_rows_bf16_f32)(n, k, w, pitch, x, y, beta);
}

}  // namespace granule
#endif
