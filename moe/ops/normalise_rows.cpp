#include "moe/ops/normalise_rows.hpp"

#include <numeric>

namespace granule {
namespace {

constexpr std::int64_t kRows = 256;  // rows of one task
constexpr double kEpsilon = 1e-20;   // as in gate_weights.cpp

void forward_cpu(const NormaliseRows::ForwardArgs& args) {
  dispatch_float(args.s_NE.dtype(), [&]<class T>() {
    const std::int64_t n = args.s_NE.shape()[0], e = args.s_NE.shape()[1];
    const T* const s = args.s_NE.data<const T>();
    T *const out = args.p_NE.data<T>(), *const sum = args.sum_N.data<T>();
    parallel_chunks(args.s_NE.context().pool(), n, kRows, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        sum[i] = std::accumulate(s + i * e, s + (i + 1) * e, T(0)) + static_cast<T>(kEpsilon);
        for (std::int64_t j = i * e; j < (i + 1) * e; ++j) out[j] = s[j] / sum[i];
      }
    });
  });
}

void backward_cpu(const NormaliseRows::BackwardArgs& args) {
  dispatch_float(args.dp_NE.dtype(), [&]<class T>() {
    const std::int64_t n = args.dp_NE.shape()[0], e = args.dp_NE.shape()[1];
    const T *const p = args.p_NE.data<const T>(), *const sum = args.sum_N.data<const T>(),
                   *const g = args.dp_NE.data<const T>();
    T* const out = args.ds_NE.dst.data<T>();
    const bool overwrite = args.ds_NE.beta == 0.0;
    parallel_chunks(args.dp_NE.context().pool(), n, kRows, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T dot = std::inner_product(p + i * e, p + (i + 1) * e, g + i * e, T(0));
        for (std::int64_t j = i * e; j < (i + 1) * e; ++j) {
          const T d = (g[j] - dot) / sum[i];
          out[j] = overwrite ? d : out[j] + d;
        }
      }
    });
  });
}

}  // namespace

constinit KernelSlot<NormaliseRows::ForwardArgs> NormaliseRows::forward_kernel{"normalise_rows", forward_cpu};
constinit KernelSlot<NormaliseRows::BackwardArgs> NormaliseRows::backward_kernel{"normalise_rows backward",
                                                                                 backward_cpu};

Tensor NormaliseRows::forward(Saved* saved, const Tensor& s_NE) const {
  Tensor p_NE = s_NE.empty_like(s_NE.shape());
  const Tensor sum_N = s_NE.empty_like({s_NE.shape()[0]});
  forward_kernel({s_NE, p_NE, sum_N});
  if (saved != nullptr) *saved = {p_NE, sum_N};
  return p_NE;
}

void NormaliseRows::backward(const Saved& saved, const Tensor& dp_NE, const Grad& ds_NE) const {
  if (ds_NE) backward_kernel({saved.p_NE, saved.sum_N, dp_NE, ds_NE});
}

}  // namespace granule
