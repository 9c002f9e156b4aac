#include "core/kernels/weighted_rows.hpp"

#include <cstdlib>
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/weighted_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// One vector of the sum; `load_row` reads as many elements of a row.
template <class D, class T, class Load>
HWY_INLINE hn::Vec<D> sum_at(D d, const PlacedRows<T>& rows, const Wide<T>* w, hn::Vec<D> sum,
                             const Load& load_row) {
  for (std::int64_t j = 0; j < rows.count; ++j) {
    if (rows.place[j] < 0) continue;
    const auto row = load_row(rows.x + rows.place[j] * rows.pitch);
    sum = w == nullptr ? hn::Add(sum, row) : hn::MulAdd(hn::Set(d, w[j]), row, sum);
  }
  return sum;
}

template <class T>
void sum_of_rows(const PlacedRows<T>& rows, const Wide<T>* w, std::int64_t n, double beta, T* y) {
  const hn::ScalableTag<Wide<T>> d;
  const std::int64_t step = lanes(d);
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto start = beta == 0.0 ? hn::Zero(d) : load(d, y + i);
    store(sum_at(d, rows, w, start, [=](const T* row) HWY_ATTR { return load(d, row + i); }), d, y + i);
  }
  if (i == n) return;
  const auto start = beta == 0.0 ? hn::Zero(d) : load_first(d, y + i, n - i);
  store_first(sum_at(d, rows, w, start, [=](const T* row) HWY_ATTR { return load_first(d, row + i, n - i); }),
              d, y + i, n - i);
}

/// Writes as many whole vectors past the caches as y has, if it is aligned, and returns where the rest
/// begins.
template <class T>
std::int64_t scale_past_caches(const T* x, T w, std::int64_t n, T* y) {
  const hn::ScalableTag<T> d;
  const std::int64_t step = lanes(d);
  if (reinterpret_cast<std::uintptr_t>(y) % (static_cast<std::uintptr_t>(step) * sizeof(T)) != 0) return 0;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) hn::Stream(hn::Mul(hn::Set(d, w), hn::LoadU(d, x + i)), d, y + i);
  return i;
}

template <class T>
void scale(const T* x, Wide<T> w, std::int64_t n, double beta, T* y) {
  std::int64_t done = 0;
  if constexpr (!std::is_same_v<T, bf16>) {
    if (beta == 0.0) done = scale_past_caches(x, w, n, y);
  }
  map(
      store_of(beta), y + done, n - done, [=](auto d, auto v) HWY_ATTR { return hn::Mul(hn::Set(d, w), v); },
      x + done);
}

void sum_f32(const PlacedRows<float>& rows, const float* w, std::int64_t n, double beta, float* y) {
  sum_of_rows(rows, w, n, beta, y);
}
void sum_f64(const PlacedRows<double>& rows, const double* w, std::int64_t n, double beta, double* y) {
  sum_of_rows(rows, w, n, beta, y);
}
void sum_bf16(const PlacedRows<bf16>& rows, const float* w, std::int64_t n, double beta, bf16* y) {
  sum_of_rows(rows, w, n, beta, y);
}
void scale_f32(const float* x, float w, std::int64_t n, double beta, float* y) {
  scale(x, w, n, beta, y);
}
void scale_f64(const double* x, double w, std::int64_t n, double beta, double* y) {
  scale(x, w, n, beta, y);
}
void scale_bf16(const bf16* x, float w, std::int64_t n, double beta, bf16* y) {
  scale(x, w, n, beta, y);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(sum_f32);
HWY_EXPORT(sum_f64);
HWY_EXPORT(sum_bf16);
HWY_EXPORT(scale_f32);
HWY_EXPORT(scale_f64);
HWY_EXPORT(scale_bf16);

void finish_rows() {
  hwy::FlushStream();
}

template <>
void sum_weighted_rows(const PlacedRows<float>& rows, const float* w, std::int64_t n, double beta, float* y) {
  HWY_DYNAMIC_DISPATCH(sum_f32)(rows, w, n, beta, y);
}
template <>
void sum_weighted_rows(const PlacedRows<double>& rows, const double* w, std::int64_t n, double beta,
                       double* y) {
  HWY_DYNAMIC_DISPATCH(sum_f64)(rows, w, n, beta, y);
}
template <>
void sum_weighted_rows(const PlacedRows<bf16>& rows, const float* w, std::int64_t n, double beta, bf16* y) {
  HWY_DYNAMIC_DISPATCH(sum_bf16)(rows, w, n, beta, y);
}

template <>
void scale_row(const float* x, float w, std::int64_t n, double beta, float* y) {
  HWY_DYNAMIC_DISPATCH(scale_f32)(x, w, n, beta, y);
}
template <>
void scale_row(const double* x, double w, std::int64_t n, double beta, double* y) {
  HWY_DYNAMIC_DISPATCH(scale_f64)(x, w, n, beta, y);
}
template <>
void scale_row(const bf16* x, float w, std::int64_t n, double beta, bf16* y) {
  HWY_DYNAMIC_DISPATCH(scale_bf16)(x, w, n, beta, y);
}

}  // namespace granule
#endif
