#include "moe/ops/sigmoid.hpp"

#include <cmath>

namespace granule {
namespace {

constexpr std::int64_t kElements = 4096;  // elements of one task

void forward_cpu(const Sigmoid::ForwardArgs& args) {
  dispatch_float(args.x.dtype(), [&]<class T>() {
    const T* const x = args.x.data<const T>();
    T* const y = args.y.data<T>();
    parallel_chunks(args.x.context().pool(), args.x.numel(), kElements,
                    [=](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) y[i] = T(1) / (T(1) + std::exp(-x[i]));
                    });
  });
}

void backward_cpu(const Sigmoid::BackwardArgs& args) {
  dispatch_float(args.dy.dtype(), [&]<class T>() {
    const T *const y = args.y.data<const T>(), *const g = args.dy.data<const T>();
    T* const out = args.dx.dst.data<T>();
    const bool overwrite = args.dx.beta == 0.0;
    parallel_chunks(args.dy.context().pool(), args.dy.numel(), kElements,
                    [=](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        const T d = y[i] * (T(1) - y[i]) * g[i];
                        out[i] = overwrite ? d : out[i] + d;
                      }
                    });
  });
}

}  // namespace

constinit KernelSlot<Sigmoid::ForwardArgs> Sigmoid::forward_kernel{"sigmoid", forward_cpu};
constinit KernelSlot<Sigmoid::BackwardArgs> Sigmoid::backward_kernel{"sigmoid backward", backward_cpu};

Tensor Sigmoid::forward(Saved* saved, const Tensor& x) const {
  Tensor y = x.empty_like(x.shape());
  forward_kernel({x, y});
  if (saved != nullptr) *saved = {y};
  return y;
}

void Sigmoid::backward(const Saved& saved, const Tensor& dy, const Grad& dx) const {
  if (dx) backward_kernel({saved.y, dy, dx});
}

}  // namespace granule
