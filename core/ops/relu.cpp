#include "core/ops/relu.hpp"

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

// The comparisons are false for NaN, so NaN passes in both directions.
void forward_cpu(const Relu::ForwardArgs& args) {
  dispatch_float(args.x.dtype(), [&]<class T>() {
    map_elements<T>(
        {args.y, 0.0}, [](T u) { return u < T(0) ? T(0) : u; }, args.x);
  });
}

void backward_cpu(const Relu::BackwardArgs& args) {
  dispatch_float(args.y.dtype(), [&]<class T>() {
    map_elements<T>(
        args.dx, [](T value, T slope) { return value <= T(0) ? T(0) : slope; }, args.y, args.dy);
  });
}

}  // namespace

constinit KernelSlot<Relu::ForwardArgs> Relu::forward_kernel{"relu", forward_cpu};
constinit KernelSlot<Relu::BackwardArgs> Relu::backward_kernel{"relu backward", backward_cpu};

Tensor Relu::forward(Saved* saved, const Tensor& x) const {
  Tensor y = x.empty_like(x.shape());
  forward_kernel({x, y});
  if (saved != nullptr) saved->y = y;
  return y;
}

void Relu::backward(const Saved& saved, const Tensor& dy, const Grad& dx) const {
  if (dx) backward_kernel({saved.y, dy, dx});
}

}  // namespace granule
