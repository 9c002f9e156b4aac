#include "core/ops/sub.hpp"

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

void difference_cpu(const Tensor& a, const Tensor& b, const Tensor& y) {
  dispatch_float(a.dtype(), [&]<class T>() {
    map_elements<T>(
        {y, 0.0}, [](T u, T v) { return u - v; }, a, b);
  });
}

void negative_cpu(const Tensor& dy, const Grad& db) {
  dispatch_float(dy.dtype(), [&]<class T>() {
    map_elements<T>(
        db, [](T u) { return -u; }, dy);
  });
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&, const Tensor&)> Sub::forward_kernel{"sub",
                                                                                            difference_cpu};
constinit KernelSlot<void(const Tensor&, const Grad&)> Sub::backward_kernel{"sub backward", negative_cpu};

Tensor Sub::forward(Saved*, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "-", a, b);
  Tensor y = a.empty_like(a.shape());
  forward_kernel(y.device(), a, b, y);
  return y;
}

void Sub::backward(const Saved&, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) accumulate(dy, da);
  if (db) backward_kernel(dy.device(), dy, db);
}

}  // namespace granule
