#include "core/kernels/swiglu.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/swiglu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

template <class T>
void swiglu_row(const T* h, std::int64_t f, T* y) {
  map(
      Store::overwrite, y, f,
      [](auto d, auto g, auto u) HWY_ATTR { return hn::Mul(hn::Mul(g, sigmoid(d, g)), u); }, h, h + f);
}

template <class T>
void swiglu_row_backward(const T* h, const T* dy, std::int64_t f, T* dh, Store store) {
  map(
      store, dh, f,
      [](auto d, auto g, auto u, auto dv) HWY_ATTR {
        const auto one = hn::Set(d, Wide<T>(1));
        // 1 − s = e s keeps its digits even if s is close to 1. The bound keeps e s from becoming infinity
        // times 0.
        const auto e = hn::Min(exp_of(d, hn::Neg(g)), hn::Set(d, Wide<T>(1e30)));
        const auto s = hn::Div(one, hn::Add(one, e));
        const auto slope = hn::Mul(s, hn::MulAdd(g, hn::Mul(e, s), one));
        return hn::Mul(hn::Mul(dv, u), slope);
      },
      h, h + f, dy);
  map(
      store, dh + f, f,
      [](auto d, auto g, auto dv) HWY_ATTR { return hn::Mul(dv, hn::Mul(g, sigmoid(d, g))); }, h, dy);
}

void swiglu_row_f32(const float* h, std::int64_t f, float* y) {
  swiglu_row(h, f, y);
}
void swiglu_row_f64(const double* h, std::int64_t f, double* y) {
  swiglu_row(h, f, y);
}
void swiglu_row_bf16(const bf16* h, std::int64_t f, bf16* y) {
  swiglu_row(h, f, y);
}
void swiglu_row_backward_f32(const float* h, const float* dy, std::int64_t f, float* dh, double beta) {
  swiglu_row_backward(h, dy, f, dh, store_of(beta));
}
void swiglu_row_backward_f64(const double* h, const double* dy, std::int64_t f, double* dh, double beta) {
  swiglu_row_backward(h, dy, f, dh, store_of(beta));
}
void swiglu_row_backward_bf16(const bf16* h, const bf16* dy, std::int64_t f, bf16* dh, double beta) {
  swiglu_row_backward(h, dy, f, dh, store_of(beta));
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(swiglu_row_f32);
HWY_EXPORT(swiglu_row_f64);
HWY_EXPORT(swiglu_row_bf16);
HWY_EXPORT(swiglu_row_backward_f32);
HWY_EXPORT(swiglu_row_backward_f64);
HWY_EXPORT(swiglu_row_backward_bf16);

template <class T>
void swiglu_rows(const T* h, std::int64_t rows, std::int64_t f, T* y) {
  for (std::int64_t r = 0; r < rows; ++r, h += 2 * f, y += f) {
    if constexpr (std::is_same_v<T, float>) {
      HWY_DYNAMIC_DISPATCH(swiglu_row_f32)(h, f, y);
    } else if constexpr (std::is_same_v<T, bf16>) {
      HWY_DYNAMIC_DISPATCH(swiglu_row_bf16)(h, f, y);
    } else {
      HWY_DYNAMIC_DISPATCH(swiglu_row_f64)(h, f, y);
    }
  }
}

template <class T>
void swiglu_rows_backward(const T* h, const T* dy, std::int64_t rows, std::int64_t f, T* dh, double beta) {
  for (std::int64_t r = 0; r < rows; ++r, h += 2 * f, dy += f, dh += 2 * f) {
    if constexpr (std::is_same_v<T, float>) {
      HWY_DYNAMIC_DISPATCH(swiglu_row_backward_f32)(h, dy, f, dh, beta);
    } else if constexpr (std::is_same_v<T, bf16>) {
      HWY_DYNAMIC_DISPATCH(swiglu_row_backward_bf16)(h, dy, f, dh, beta);
    } else {
      HWY_DYNAMIC_DISPATCH(swiglu_row_backward_f64)(h, dy, f, dh, beta);
    }
  }
}

template void swiglu_rows(const float*, std::int64_t, std::int64_t, float*);
template void swiglu_rows(const double*, std::int64_t, std::int64_t, double*);
template void swiglu_rows(const bf16*, std::int64_t, std::int64_t, bf16*);
template void swiglu_rows_backward(const float*, const float*, std::int64_t, std::int64_t, float*, double);
template void swiglu_rows_backward(const double*, const double*, std::int64_t, std::int64_t, double*, double);
template void swiglu_rows_backward(const bf16*, const bf16*, std::int64_t, std::int64_t, bf16*, double);

}  // namespace granule
#endif
