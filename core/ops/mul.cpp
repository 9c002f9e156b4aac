#include "core/ops/mul.hpp"

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

void product_cpu(const Mul::Args& args) {
  dispatch_float(args.a.dtype(), [&]<class T>() {
    map_elements<T>(
        args.y, [](T u, T v) { return u * v; }, args.a, args.b);
  });
}

}  // namespace

constinit KernelSlot<Mul::Args> Mul::kernel{"mul", product_cpu};

Tensor Mul::forward(Saved* saved, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "*", a, b);
  Tensor y = a.empty_like(a.shape());
  kernel({a, b, {y, 0.0}});
  if (saved != nullptr) *saved = {a, b};
  return y;
}

void Mul::backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) kernel({dy, saved.b, da});
  if (db) kernel({dy, saved.a, db});
}

}  // namespace granule
