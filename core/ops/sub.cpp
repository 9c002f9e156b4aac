#include "core/ops/sub.hpp"

#include "core/kernels/accumulate.hpp"
#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

void difference_cpu(const Sub::ForwardArgs& args) {
  dispatch_float(args.a.dtype(), [&]<class T>() {
    map_elements<T>(
        {args.y, 0.0}, [](T u, T v) { return u - v; }, args.a, args.b);
  });
}

void negative_cpu(const Sub::BackwardArgs& args) {
  dispatch_float(args.dy.dtype(), [&]<class T>() {
    map_elements<T>(
        args.db, [](T u) { return -u; }, args.dy);
  });
}

}  // namespace

constinit KernelSlot<Sub::ForwardArgs> Sub::forward_kernel{"sub", difference_cpu};
constinit KernelSlot<Sub::BackwardArgs> Sub::backward_kernel{"sub backward", negative_cpu};

Tensor Sub::forward(Saved*, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "-", a, b);
  Tensor y = a.empty_like(a.shape());
  forward_kernel({a, b, y});
  return y;
}

void Sub::backward(const Saved&, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) accumulate(dy, da);
  if (db) backward_kernel({dy, db});
}

}  // namespace granule
