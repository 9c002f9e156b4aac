#include "core/ops/gelu.hpp"

#include <cmath>
#include <numbers>

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

template <class T>
constexpr T kInnerFactor = T(0.79788456080286535588);  // √(2/π)
template <class T>
constexpr T kCubic = T(0.044715);

/// Φ(x). It uses erfc, because 1 + erf would lose all digits far below zero.
template <class T>
T normal_distribution(T x) {
  return T(0.5) * std::erfc(x * -(std::numbers::sqrt2_v<T> / T(2)));
}

template <class T>
T exact_slope(T x) {
  constexpr T kDensityAtZero = std::numbers::inv_sqrtpi_v<T> * (std::numbers::sqrt2_v<T> / T(2));
  return normal_distribution(x) + x * (kDensityAtZero * std::exp(T(-0.5) * x * x));
}

template <class T>
T tanh_of(T x) {
  return std::tanh(kInnerFactor<T> * (x + kCubic<T> * x * x * x));
}

template <class T>
T tanh_slope(T x) {
  const T t = tanh_of(x), flat = T(1) - t * t;
  // Where tanh no longer changes, the other factors may already be infinite.
  const T moving = flat == T(0) ? T(0) : x * flat * (kInnerFactor<T> * (T(1) + T(3) * kCubic<T> * x * x));
  return T(0.5) * ((T(1) + t) + moving);
}

void forward_cpu(const Gelu::ForwardArgs& args) {
  dispatch_float(args.x.dtype(), [&]<class T>() {
    if (args.approximate == GeluApproximate::none)
      map_elements<T>(
          {args.y, 0.0}, [](T u) { return u * normal_distribution(u); }, args.x);
    else
      map_elements<T>(
          {args.y, 0.0}, [](T u) { return T(0.5) * u * (T(1) + tanh_of(u)); }, args.x);
  });
}

void backward_cpu(const Gelu::BackwardArgs& args) {
  dispatch_float(args.x.dtype(), [&]<class T>() {
    if (args.approximate == GeluApproximate::none)
      map_elements<T>(
          args.dx, [](T u, T slope) { return slope * exact_slope(u); }, args.x, args.dy);
    else
      map_elements<T>(
          args.dx, [](T u, T slope) { return slope * tanh_slope(u); }, args.x, args.dy);
  });
}

}  // namespace

constinit KernelSlot<Gelu::ForwardArgs> Gelu::forward_kernel{"gelu", forward_cpu};
constinit KernelSlot<Gelu::BackwardArgs> Gelu::backward_kernel{"gelu backward", backward_cpu};

Tensor Gelu::forward(Saved* saved, const Tensor& x) const {
  Tensor y = x.empty_like(x.shape());
  forward_kernel({approximate, x, y});
  if (saved != nullptr) saved->x = x;
  return y;
}

void Gelu::backward(const Saved& saved, const Tensor& dy, const Grad& dx) const {
  if (dx) backward_kernel({approximate, saved.x, dy, dx});
}

}  // namespace granule
