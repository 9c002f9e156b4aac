#include "core/ops/softmax.hpp"

#include <algorithm>
#include <numeric>

#include "core/kernels/softmax.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

void forward_cpu(const Softmax::ForwardArgs& args) {
  const std::int64_t n = args.x.shape()[0], e = args.x.shape()[1];
  dispatch_float(args.x.dtype(), [&]<class T>() {
    const T* const in = args.x.data<const T>();
    T* const out = args.y.data<T>();
    parallel_chunks(args.x.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      std::copy(in + begin * e, in + end * e, out + begin * e);
      for (std::int64_t i = begin; i < end; ++i) softmax_row(out + i * e, e, T(1));
    });
  });
}

void backward_cpu(const Softmax::BackwardArgs& args) {
  const std::int64_t n = args.y.shape()[0], e = args.y.shape()[1];
  dispatch_float(args.y.dtype(), [&]<class T>() {
    const T *const p = args.y.data<const T>(), *const g = args.dy.data<const T>();
    T* const out = args.dx.dst.data<T>();
    const bool add = args.dx.beta != 0.0;
    parallel_chunks(args.y.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T dot = std::inner_product(p + i * e, p + (i + 1) * e, g + i * e, T(0));
        for (std::int64_t j = i * e; j < (i + 1) * e; ++j) {
          const T d = p[j] * (g[j] - dot);
          out[j] = add ? out[j] + d : d;
        }
      }
    });
  });
}

}  // namespace

constinit KernelSlot<Softmax::ForwardArgs> Softmax::forward_kernel{"softmax", forward_cpu};
constinit KernelSlot<Softmax::BackwardArgs> Softmax::backward_kernel{"softmax backward", backward_cpu};

Tensor Softmax::forward(Saved* saved, const Tensor& x_NE) const {
  GRANULE_CHECK(x_NE.shape().rank() == 2 && x_NE.shape()[1] > 0, "softmax: rows of {}", x_NE.shape().str());
  Tensor y = x_NE.empty_like(x_NE.shape());
  forward_kernel({x_NE, y});
  if (saved != nullptr) *saved = {y};
  return y;
}

void Softmax::backward(const Saved& saved, const Tensor& dy_NE, const Grad& dx_NE) const {
  if (dx_NE) backward_kernel({saved.y_NE, dy_NE, dx_NE});
}

}  // namespace granule
