#include "core/kernels/softmax.hpp"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

template <class T>
T largest_of(const T* x, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const std::int64_t step = lanes(d);
  T largest = x[0];
  std::int64_t i = 0;
  if (n >= step) {
    auto most = hn::LoadU(d, x);
    for (i = step; i + step <= n; i += step) most = hn::Max(most, hn::LoadU(d, x + i));
    largest = hn::GetLane(hn::MaxOfLanes(d, most));
  }
  for (; i < n; ++i) largest = std::max(largest, x[i]);
  return largest;
}

/// Replaces x by exp(scale x − shift) and returns the sum.
template <class T>
double exp_and_sum(T* x, std::int64_t n, T scale, T shift) {
  const hn::ScalableTag<T> d;
  const std::int64_t step = lanes(d);
  const auto factor = hn::Set(d, scale), off = hn::Set(d, shift);
  auto sum = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto e = exp_of(d, hn::MulSub(hn::LoadU(d, x + i), factor, off));
    hn::StoreU(e, d, x + i);
    sum = hn::Add(sum, e);
  }
  if (i < n) {
    store_first(exp_of(d, hn::MulSub(load_first(d, x + i, n - i), factor, off)), d, x + i, n - i);
    sum = hn::Add(sum, load_first(d, x + i, n - i));  // zeros after the end
  }
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
}

template <class T>
ExpSum exponentials(T* x, std::int64_t n, T scale) {
  const T largest = largest_of(x, n) * scale;
  const double sum = exp_and_sum(x, n, scale, largest);
  return {sum, static_cast<double>(largest) + std::log(sum)};
}

template <class T>
double softmax(T* x, std::int64_t n, T scale) {
  const ExpSum found = exponentials(x, n, scale);
  const T inverse = static_cast<T>(1.0 / found.sum);
  map(
      Store::overwrite, x, n, [=](auto d, auto v) HWY_ATTR { return hn::Mul(v, hn::Set(d, inverse)); }, x);
  return found.log_sum;
}

template <class T>
void softmax_again(T* x, std::int64_t n, T scale, T log_sum) {
  map(
      Store::overwrite, x, n,
      [=](auto d, auto v)
          HWY_ATTR { return exp_of(d, hn::MulSub(v, hn::Set(d, scale), hn::Set(d, log_sum))); },
      x);
}

template <class T>
void softmax_backward(T* x, T* dp, std::int64_t n, T scale, T log_sum, T shift) {
  const hn::ScalableTag<T> d;
  const std::int64_t step = lanes(d);
  const auto factor = hn::Set(d, scale), off = hn::Set(d, log_sum), middle = hn::Set(d, shift);
  const auto gradient = [=](auto p, auto g)
                            HWY_ATTR { return hn::Mul(hn::Mul(factor, p), hn::Sub(g, middle)); };
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto p = exp_of(d, hn::MulSub(hn::LoadU(d, x + i), factor, off));
    hn::StoreU(p, d, x + i);
    hn::StoreU(gradient(p, hn::LoadU(d, dp + i)), d, dp + i);
  }
  if (i == n) return;
  const auto p = exp_of(d, hn::MulSub(load_first(d, x + i, n - i), factor, off));
  store_first(p, d, x + i, n - i);
  store_first(gradient(p, load_first(d, dp + i, n - i)), d, dp + i, n - i);
}

double softmax_f32(float* x, std::int64_t n, float scale) {
  return softmax(x, n, scale);
}
double softmax_f64(double* x, std::int64_t n, double scale) {
  return softmax(x, n, scale);
}
ExpSum exp_f32(float* x, std::int64_t n, float scale) {
  return exponentials(x, n, scale);
}
ExpSum exp_f64(double* x, std::int64_t n, double scale) {
  return exponentials(x, n, scale);
}
void softmax_again_f32(float* x, std::int64_t n, float scale, float log_sum) {
  softmax_again(x, n, scale, log_sum);
}
void softmax_again_f64(double* x, std::int64_t n, double scale, double log_sum) {
  softmax_again(x, n, scale, log_sum);
}
void softmax_backward_f32(float* x, float* dp, std::int64_t n, float scale, float log_sum, float shift) {
  softmax_backward(x, dp, n, scale, log_sum, shift);
}
void softmax_backward_f64(double* x, double* dp, std::int64_t n, double scale, double log_sum, double shift) {
  softmax_backward(x, dp, n, scale, log_sum, shift);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(softmax_f32);
HWY_EXPORT(softmax_f64);
HWY_EXPORT(exp_f32);
HWY_EXPORT(exp_f64);
HWY_EXPORT(softmax_again_f32);
HWY_EXPORT(softmax_again_f64);
HWY_EXPORT(softmax_backward_f32);
HWY_EXPORT(softmax_backward_f64);

template <>
double softmax_row(float* x, std::int64_t n, float scale) {
  return HWY_DYNAMIC_DISPATCH(softmax_f32)(x, n, scale);
}
template <>
double softmax_row(double* x, std::int64_t n, double scale) {
  return HWY_DYNAMIC_DISPATCH(softmax_f64)(x, n, scale);
}
template <>
ExpSum exp_row(float* x, std::int64_t n, float scale) {
  return HWY_DYNAMIC_DISPATCH(exp_f32)(x, n, scale);
}
template <>
ExpSum exp_row(double* x, std::int64_t n, double scale) {
  return HWY_DYNAMIC_DISPATCH(exp_f64)(x, n, scale);
}
template <>
void softmax_row_again(float* x, std::int64_t n, float scale, float log_sum) {
  HWY_DYNAMIC_DISPATCH(softmax_again_f32)(x, n, scale, log_sum);
}
template <>
void softmax_row_again(double* x, std::int64_t n, double scale, double log_sum) {
  HWY_DYNAMIC_DISPATCH(softmax_again_f64)(x, n, scale, log_sum);
}
template <>
void softmax_row_backward(float* x, float* dp, std::int64_t n, float scale, float log_sum, float shift) {
  HWY_DYNAMIC_DISPATCH(softmax_backward_f32)(x, dp, n, scale, log_sum, shift);
}
template <>
void softmax_row_backward(double* x, double* dp, std::int64_t n, double scale, double log_sum, double shift) {
  HWY_DYNAMIC_DISPATCH(softmax_backward_f64)(x, dp, n, scale, log_sum, shift);
}

}  // namespace granule
#endif
