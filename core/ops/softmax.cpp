#include "core/ops/softmax.hpp"

#include <algorithm>
#include <numeric>

#include "core/kernels/softmax.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

void forward_cpu(const Tensor& x, const Tensor& y) {
  const std::int64_t n = x.shape()[0], e = x.shape()[1];
  dispatch_float(x.dtype(), [&]<class T>() {
    const T* const in = x.data<const T>();
    T* const out = y.data<T>();
    parallel_chunks(x.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      std::copy(in + begin * e, in + end * e, out + begin * e);
      for (std::int64_t i = begin; i < end; ++i) softmax_row(out + i * e, e, T(1));
    });
  });
}

void backward_cpu(const Tensor& y, const Tensor& dy, const Grad& dx) {
  const std::int64_t n = y.shape()[0], e = y.shape()[1];
  dispatch_float(y.dtype(), [&]<class T>() {
    const T *const p = y.data<const T>(), *const g = dy.data<const T>();
    T* const out = dx.dst.data<T>();
    const bool add = dx.beta != 0.0;
    parallel_chunks(y.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
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

constinit KernelSlot<void(const Tensor&, const Tensor&)> Softmax::forward_kernel{"softmax", forward_cpu};
constinit KernelSlot<void(const Tensor&, const Tensor&, const Grad&)> Softmax::backward_kernel{
    "softmax backward", backward_cpu};

Tensor Softmax::forward(Saved* saved, const Tensor& x_NE) const {
  GRANULE_CHECK(x_NE.shape().rank() == 2 && x_NE.shape()[1] > 0, "softmax: rows of {}", x_NE.shape().str());
  Tensor y = x_NE.empty_like(x_NE.shape());
  forward_kernel(x_NE.device(), x_NE, y);
  if (saved != nullptr) *saved = {y};
  return y;
}

void Softmax::backward(const Saved& saved, const Tensor& dy_NE, const Grad& dx_NE) const {
  if (dx_NE) backward_kernel(dy_NE.device(), saved.y_NE, dy_NE, dx_NE);
}

}  // namespace granule
