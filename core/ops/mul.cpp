#include "core/ops/mul.hpp"

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

void product_cpu(const Tensor& a, const Tensor& b, const Grad& y) {
  dispatch_float(a.dtype(), [&]<class T>() {
    map_elements<T>(
        y, [](T u, T v) { return u * v; }, a, b);
  });
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&, const Grad&)> Mul::kernel{"mul", product_cpu};

Tensor Mul::forward(Saved* saved, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "*", a, b);
  Tensor y = a.empty_like(a.shape());
  kernel(y.device(), a, b, {y, 0.0});
  if (saved != nullptr) *saved = {a, b};
  return y;
}

void Mul::backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) kernel(dy.device(), dy, saved.b, da);
  if (db) kernel(dy.device(), dy, saved.a, db);
}

}  // namespace granule
