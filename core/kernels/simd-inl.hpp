// Vector building blocks for CPU kernels, which Highway compiles once for each instruction set. Include it
// inside a foreach_target file, after hwy/highway.h. Pointers need no alignment beyond that of their type,
// and any length is allowed. It is not an interface between translation units.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "core/bf16.hpp"

#if defined(GRANULE_CORE_KERNELS_SIMD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GRANULE_CORE_KERNELS_SIMD_INL_HPP
#undef GRANULE_CORE_KERNELS_SIMD_INL_HPP
#else
#define GRANULE_CORE_KERNELS_SIMD_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE std::int64_t lanes(D d) {
  return static_cast<std::int64_t>(hn::Lanes(d));
}

/// As many elements as d has lanes. bf16 is widened to float.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load(D d, const T* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const bf16* from) {
  const auto upper = hn::LoadU(hn::Rebind<std::uint16_t, D>(), reinterpret_cast<const std::uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(hn::RebindToUnsigned<D>(), upper)));
}

/// The reverse, where bf16 is rounded as bf16(float) rounds. Highway's own conversion cuts the lower half
/// off.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store(hn::Vec<D> v, D d, T* to) {
  hn::StoreU(v, d, to);
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D, bf16* to) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, v);
  const auto last = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto up = hn::Add(bits, hn::Add(last, hn::Set(du, 0x7FFF)));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x00400000));
  const auto rounded = hn::ShiftRight<16>(hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, up));
  hn::StoreU(hn::DemoteTo(hn::Rebind<std::uint16_t, D>(), hn::BitCast(hn::RebindToSigned<D>(), rounded)),
             hn::Rebind<std::uint16_t, D>(), reinterpret_cast<std::uint16_t*>(to));
}

/// The first n ≤ lanes(d) elements, followed by zeros.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_first(D d, const T* from, std::int64_t n) {
#if !HWY_MEM_OPS_MIGHT_FAULT
  if constexpr (!std::is_same_v<T, bf16>)
    return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(n)), d, from);
#endif
  HWY_ALIGN T buffer[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)] = {};
  for (std::int64_t i = 0; i < n; ++i) buffer[i] = from[i];
  return load(d, buffer);
}
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_first(hn::Vec<D> v, D d, T* to, std::int64_t n) {
#if !HWY_MEM_OPS_MIGHT_FAULT
  if constexpr (!std::is_same_v<T, bf16>)
    return hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(n)), d, to);
#endif
  HWY_ALIGN T buffer[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)] = {};
  store(v, d, buffer);
  for (std::int64_t i = 0; i < n; ++i) to[i] = buffer[i];
}

/// y[i] = f(d, in[i]…), or with `add` y[i] += f(d, in[i]…). f takes and returns vectors of Wide<T>, in which
/// all is computed, and every input is of that type or of bf16.
enum class Store : bool { overwrite, add };
[[maybe_unused]] inline Store store_of(double beta) {
  return beta == 0.0 ? Store::overwrite : Store::add;
}
template <class T, class F, class... In>
HWY_INLINE void map(Store mode, T* y, std::int64_t n, const F& f, const In*... in) {
  const hn::ScalableTag<Wide<T>> d;
  const std::int64_t step = lanes(d);
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    auto v = f(d, load(d, in + i)...);
    if (mode == Store::add) v = hn::Add(v, load(d, y + i));
    store(v, d, y + i);
  }
  if (i == n) return;
  auto v = f(d, load_first(d, in + i, n - i)...);
  if (mode == Store::add) v = hn::Add(v, load_first(d, y + i, n - i));
  store_first(v, d, y + i, n - i);
}

/// out = Σ_i rows[i] + beta out, in the order of the rows, n columns.
template <class T>
HWY_INLINE void sum_rows(const T* rows, std::int64_t count, std::int64_t n, double beta, Wide<T>* out) {
  if (count == 0 && beta == 0.0) std::fill_n(out, n, Wide<T>(0));
  for (std::int64_t i = 0; i < count; ++i) {
    map(
        i == 0 ? store_of(beta) : Store::add, out, n, [](auto, auto v) HWY_ATTR { return v; }, rows + i * n);
  }
}

/// As many elements as fit, converted to float64.
template <class D, class T>
HWY_INLINE hn::Vec<D> load_wide(D d, const T* from) {
  if constexpr (std::is_same_v<T, double>) {
    return hn::LoadU(d, from);
  } else {
    return hn::PromoteTo(d, load(hn::Rebind<float, D>(), from));
  }
}

/// Σ f(d, in[i]…) in float64, whatever the inputs' type; f must map zeros to zero.
template <class T, class F, class... In>
HWY_INLINE double sum_wide(std::int64_t n, const F& f, const T* first, const In*... in) {
  const hn::ScalableTag<double> d;
  const std::int64_t step = lanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    sum0 = hn::Add(sum0, f(d, load_wide(d, first + i), load_wide(d, in + i)...));
    sum1 = hn::Add(sum1, f(d, load_wide(d, first + i + step), load_wide(d, in + i + step)...));
  }
  const hn::CappedTag<double, 1> one;
  double tail = 0.0;
  for (; i < n; ++i) {
    tail += hn::GetLane(f(one, hn::Set(one, static_cast<double>(widened(first[i]))),
                          hn::Set(one, static_cast<double>(widened(in[i])))...));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1))) + tail;
}

/// e^x with a relative error of 1e-7: Cody-Waite reduction to |r| ≤ ln 2 / 2, then a polynomial of degree 6
/// through the Chebyshev points. It is 0 below -87.33, infinity from 88.37 on (float64: -1000 and 709), and
/// NaN for NaN.
template <class D, class V, HWY_IF_FLOAT(hn::TFromD<D>)>
HWY_INLINE V exp_of(D d, V x) {
  if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
    // Highway's function wraps around beyond its range and turns NaN into 0.
    const auto y = hn::IfThenElse(hn::Ge(x, hn::Set(d, 709.0)), hn::Inf(d), hn::Exp(d, x));
    return hn::IfThenElse(hn::IsNaN(x), x, y);
  } else {
    const hn::RebindToSigned<D> di;
    const auto n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504F)));
    auto r = hn::NegMulAdd(n, hn::Set(d, 0.693145752F), x);
    r = hn::NegMulAdd(n, hn::Set(d, 1.42860677e-6F), r);
    auto q = hn::MulAdd(r, hn::Set(d, 0.00139262135F), hn::Set(d, 0.00836320297F));
    q = hn::MulAdd(q, r, hn::Set(d, 0.0416665544F));
    q = hn::MulAdd(q, r, hn::Set(d, 0.166665768F));
    q = hn::MulAdd(q, r, hn::Set(d, 0.5F));
    const auto p = hn::Add(hn::MulAdd(q, hn::Mul(r, r), r), hn::Set(d, 1.0F));
    const auto scale = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127))));
    auto y = hn::Mul(p, scale);
    y = hn::IfThenElse(hn::Lt(x, hn::Set(d, -87.33F)), hn::Zero(d), y);
    return hn::IfThenElse(hn::Ge(x, hn::Set(d, 88.37F)), hn::Inf(d), y);
  }
}

/// 1 / (1 + e^-x)
template <class D, class V>
HWY_INLINE V sigmoid(D d, V x) {
  const auto one = hn::Set(d, hn::TFromD<D>(1));
  return hn::Div(one, hn::Add(one, exp_of(d, hn::Neg(x))));
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
