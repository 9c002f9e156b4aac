#include "core/kernels/adamw.hpp"

#include <hwy/cache_control.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/adamw.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// One vector of w, m and v, updated in place.
template <class D, class V, class T = hn::TFromD<D>>
HWY_INLINE void update(D d, const AdamWStep& step, V gradient, V& w, V& m, V& v) {
  const auto set = [d](double value) HWY_ATTR { return hn::Set(d, static_cast<T>(value)); };
  const auto g = hn::Mul(gradient, set(step.gradient_scale));
  m = hn::MulAdd(m, set(step.beta1), hn::Mul(g, set(1.0 - step.beta1)));
  v = hn::MulAdd(v, set(step.beta2), hn::Mul(hn::Mul(g, g), set(1.0 - step.beta2)));
  const auto root = hn::MulAdd(hn::Sqrt(v), set(step.root_scale), set(step.eps));
  w = hn::MulSub(w, set(step.keep), hn::Div(hn::Mul(m, set(step.rate)), root));
}

/// One vector at the given addresses.
template <class T, class V>
HWY_INLINE void update_at(T* w, T* m, T* v, const T* g, V* rounded, const AdamWStep& step) {
  const hn::ScalableTag<T> d;
  auto wi = hn::LoadU(d, w), mi = hn::LoadU(d, m), vi = hn::LoadU(d, v);
  update(d, step, hn::LoadU(d, g), wi, mi, vi);
  hn::StoreU(wi, d, w);
  hn::StoreU(mi, d, m);
  hn::StoreU(vi, d, v);
  if (rounded != nullptr) store(wi, d, rounded);
}

/// Asks for what is needed some vectors later. Without it a core waits for memory: on a Zen 5 a loop
/// of nothing else then got four fifths of what it gets so. The addresses may be beyond the end of the array.
template <class T>
HWY_INLINE void fetch_ahead(const T* data) {
  constexpr std::uintptr_t kBytes = 1536;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a pointer beyond the end may not be made by adding
  hwy::Prefetch(reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(data) + kBytes));
}

/// `rounded` may be nullptr.
template <class T, class V>
void adamw(T* w, T* m, T* v, const T* g, V* rounded, std::int64_t n, const AdamWStep& step) {
  const hn::ScalableTag<T> d;
  const std::int64_t width = lanes(d);
  std::int64_t i = 0;
  for (; i + width <= n; i += width) {
    for (const T* const array :
         {static_cast<const T*>(w), static_cast<const T*>(m), static_cast<const T*>(v), g})
      fetch_ahead(array + i);
    update_at(w + i, m + i, v + i, g + i, rounded != nullptr ? rounded + i : nullptr, step);
  }
  if (i == n) return;
  const std::int64_t rest = n - i;
  auto wi = load_first(d, w + i, rest), mi = load_first(d, m + i, rest), vi = load_first(d, v + i, rest);
  update(d, step, load_first(d, g + i, rest), wi, mi, vi);
  store_first(wi, d, w + i, rest);
  store_first(mi, d, m + i, rest);
  store_first(vi, d, v + i, rest);
  if (rounded != nullptr) store_first(wi, d, rounded + i, rest);
}

void adamw_f32(float* w, float* m, float* v, const float* g, std::int64_t n, const AdamWStep& step) {
  adamw(w, m, v, g, static_cast<float*>(nullptr), n, step);
}
void adamw_f64(double* w, double* m, double* v, const double* g, std::int64_t n, const AdamWStep& step) {
  adamw(w, m, v, g, static_cast<double*>(nullptr), n, step);
}
void adamw_bf16(float* w, float* m, float* v, const float* g, bf16* rounded, std::int64_t n,
                const AdamWStep& step) {
  adamw(w, m, v, g, rounded, n, step);
}
/// Four places are read side by side, because a core that reads one gets less than memory gives.
template <class T>
double squares(const T* g, std::int64_t n) {
  const hn::ScalableTag<double> d;
  const std::int64_t part = n / 4 / lanes(d) * lanes(d);
  auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  const auto square = [d](const T* at) HWY_ATTR {
    const auto value = load_wide(d, at);
    return hn::Mul(value, value);
  };
  for (std::int64_t i = 0; i < part; i += lanes(d)) {
    for (const T* const place : {g, g + part, g + 2 * part, g + 3 * part}) fetch_ahead(place + i);
    sum0 = hn::Add(sum0, square(g + i));
    sum1 = hn::Add(sum1, square(g + part + i));
    sum2 = hn::Add(sum2, square(g + 2 * part + i));
    sum3 = hn::Add(sum3, square(g + 3 * part + i));
  }
  const double rest = sum_wide(
      n - 4 * part, [](auto, auto v) HWY_ATTR { return hn::Mul(v, v); }, g + 4 * part);
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)))) + rest;
}
double sum_of_squares_f32(const float* g, std::int64_t n) {
  return squares(g, n);
}
double sum_of_squares_f64(const double* g, std::int64_t n) {
  return squares(g, n);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(adamw_f32);
HWY_EXPORT(adamw_f64);
HWY_EXPORT(adamw_bf16);
HWY_EXPORT(sum_of_squares_f32);
HWY_EXPORT(sum_of_squares_f64);

template <>
void adamw_update(float* w, float* m, float* v, const float* g, std::int64_t n, const AdamWStep& step) {
  HWY_DYNAMIC_DISPATCH(adamw_f32)(w, m, v, g, n, step);
}
template <>
void adamw_update(double* w, double* m, double* v, const double* g, std::int64_t n, const AdamWStep& step) {
  HWY_DYNAMIC_DISPATCH(adamw_f64)(w, m, v, g, n, step);
}
void adamw_update(float* w, float* m, float* v, const float* g, bf16* rounded, std::int64_t n,
                  const AdamWStep& step) {
  HWY_DYNAMIC_DISPATCH(adamw_bf16)(w, m, v, g, rounded, n, step);
}
template <>
double sum_of_squares(const float* g, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares_f32)(g, n);
}
template <>
double sum_of_squares(const double* g, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares_f64)(g, n);
}

}  // namespace granule
#endif
