#include "core/ops/relu.hpp"

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

// The comparisons are false for NaN, so NaN passes in both directions.
void forward_cpu(const Tensor& x, const Tensor& y) {
  dispatch_float(x.dtype(), [&]<class T>() {
    map_elements<T>(
        {y, 0.0}, [](T u) { return u < T(0) ? T(0) : u; }, x);
  });
}

void backward_cpu(const Tensor& y, const Tensor& dy, const Grad& dx) {
  dispatch_float(y.dtype(), [&]<class T>() {
    map_elements<T>(
        dx, [](T value, T slope) { return value <= T(0) ? T(0) : slope; }, y, dy);
  });
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&)> Relu::forward_kernel{"relu", forward_cpu};
constinit KernelSlot<void(const Tensor&, const Tensor&, const Grad&)> Relu::backward_kernel{"relu backward",
                                                                                            backward_cpu};

Tensor Relu::forward(Saved* saved, const Tensor& x) const {
  Tensor y = x.empty_like(x.shape());
  forward_kernel(y.device(), x, y);
  if (saved != nullptr) saved->y = y;
  return y;
}

void Relu::backward(const Saved& saved, const Tensor& dy, const Grad& dx) const {
  if (dx) backward_kernel(dy.device(), saved.y, dy, dx);
}

}  // namespace granule
