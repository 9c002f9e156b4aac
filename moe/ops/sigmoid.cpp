#include "moe/ops/sigmoid.hpp"

#include <cmath>

namespace granule {
namespace {

constexpr std::int64_t kElements = 4096;  // elements of one task

}  // namespace

Tensor Sigmoid::forward(Saved* saved, const Tensor& x) const {
  Tensor y = x.empty_like(x.shape());
  dispatch_float(x.dtype(), [&]<class T>() {
    const T* const in = x.data<const T>();
    T* const out = y.data<T>();
    parallel_chunks(x.context().pool(), x.numel(), kElements, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out[i] = T(1) / (T(1) + std::exp(-in[i]));
    });
  });
  if (saved != nullptr) *saved = {y};
  return y;
}

void Sigmoid::backward(const Saved& saved, const Tensor& dy, const Grad& dx) const {
  if (!dx) return;
  dispatch_float(dy.dtype(), [&]<class T>() {
    const T *const y = saved.y.data<const T>(), *const g = dy.data<const T>();
    T* const out = dx.dst.data<T>();
    parallel_chunks(dy.context().pool(), dy.numel(), kElements, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T d = y[i] * (T(1) - y[i]) * g[i];
        out[i] = dx.beta == 0.0 ? d : out[i] + d;
      }
    });
  });
}

}  // namespace granule
