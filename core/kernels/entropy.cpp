#include "core/kernels/entropy.hpp"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/entropy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// log σ − Σ s log s / σ
template <class T>
double entropy(const T* s, std::int64_t n) {
  const hn::ScalableTag<T> d;
  const std::int64_t step = lanes(d);
  auto sum = hn::Zero(d), weighted = hn::Zero(d);
  const auto add = [&](auto v) HWY_ATTR {
    sum = hn::Add(sum, v);
    weighted = hn::Add(weighted, hn::IfThenElseZero(hn::Gt(v, hn::Zero(d)), hn::Mul(v, hn::Log(d, v))));
  };
  std::int64_t i = 0;
  for (; i + step <= n; i += step) add(hn::LoadU(d, s + i));
  if (i < n) add(load_first(d, s + i, n - i));
  const T total = hn::GetLane(hn::SumOfLanes(d, sum)), of_logs = hn::GetLane(hn::SumOfLanes(d, weighted));
  return total > T(0) ? static_cast<double>(std::log(total) - of_logs / total) : 0.0;
}

double entropy_f32(const float* s, std::int64_t n) {
  return entropy(s, n);
}
double entropy_f64(const double* s, std::int64_t n) {
  return entropy(s, n);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(entropy_f32);
HWY_EXPORT(entropy_f64);

template <>
double entropy_row(const float* s, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(entropy_f32)(s, n);
}
template <>
double entropy_row(const double* s, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(entropy_f64)(s, n);
}

}  // namespace granule
#endif
