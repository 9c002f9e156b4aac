#include "moe/ops/gate_weights.hpp"

#include <algorithm>
#include <numeric>

namespace granule {
namespace {

constexpr std::int64_t kRows = 256;  // rows of one task
constexpr double kEpsilon = 1e-20;   // the reference's

void forward_cpu(const GateWeights::ForwardArgs& args) {
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    const std::int64_t n = args.score_NE.shape()[0], e = args.score_NE.shape()[1], k = args.id_NK.shape()[1];
    const T* const s = args.score_NE.data<const T>();
    const auto* const ids = args.id_NK.data<const std::int32_t>();
    T *const out = args.w_NK.data<T>(), *const sum = args.sum_N.defined() ? args.sum_N.data<T>() : nullptr;
    const T factor = static_cast<T>(args.factor);
    parallel_chunks(args.score_NE.context().pool(), n, kRows, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[j] = s[i * e + ids[j]];
        if (sum != nullptr) {
          sum[i] = std::accumulate(out + i * k, out + (i + 1) * k, T(0)) + static_cast<T>(kEpsilon);
          for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[j] /= sum[i];
        }
        for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[j] *= factor;
      }
    });
  });
}

void backward_cpu(const GateWeights::BackwardArgs& args) {
  dispatch_float(args.dw_NK.dtype(), [&]<class T>() {
    const std::int64_t n = args.dw_NK.shape()[0], k = args.dw_NK.shape()[1],
                       e = args.dscore_NE.dst.shape()[1];
    const auto* const ids = args.id_NK.data<const std::int32_t>();
    const T *const w = args.w_NK.data<const T>(), *const g = args.dw_NK.data<const T>(),
                   *const sum = args.sum_N.defined() ? args.sum_N.data<const T>() : nullptr;
    T* const out = args.dscore_NE.dst.data<T>();
    const T factor = static_cast<T>(args.factor);
    const bool overwrite = args.dscore_NE.beta == 0.0;
    parallel_chunks(args.dw_NK.context().pool(), n, kRows, [=](std::int64_t begin, std::int64_t end) {
      if (overwrite) std::fill(out + begin * e, out + end * e, T(0));
      for (std::int64_t i = begin; i < end; ++i) {
        const T dot = sum != nullptr ? std::inner_product(w + i * k, w + (i + 1) * k, g + i * k, T(0)) : T(0);
        const T scale = sum != nullptr ? T(1) / sum[i] : T(1);
        for (std::int64_t j = i * k; j < (i + 1) * k; ++j)
          out[i * e + ids[j]] += (factor * g[j] - dot) * scale;
      }
    });
  });
}

}  // namespace

constinit KernelSlot<GateWeights::ForwardArgs> GateWeights::forward_kernel{"gate_weights", forward_cpu};
constinit KernelSlot<GateWeights::BackwardArgs> GateWeights::backward_kernel{"gate_weights backward",
                                                                             backward_cpu};

Tensor GateWeights::forward(Saved* saved, const Tensor& score_NE, const Tensor& id_NK) const {
  GRANULE_CHECK(id_NK.shape()[0] == score_NE.shape()[0], "gate_weights: {} rows of ids, {} of scores",
                id_NK.shape()[0], score_NE.shape()[0]);
  const bool divide = normalise && id_NK.shape()[1] > 1;
  Tensor w_NK = score_NE.empty_like(id_NK.shape());
  const Tensor sum_N = divide ? score_NE.empty_like({id_NK.shape()[0]}) : Tensor{};
  forward_kernel({score_NE, id_NK, factor, w_NK, sum_N});
  if (saved != nullptr) *saved = {id_NK, w_NK, sum_N};
  return w_NK;
}

void GateWeights::backward(const Saved& saved, const Tensor& dw_NK, const Grad& dscore_NE) const {
  if (dscore_NE) backward_kernel({saved.id_NK, saved.w_NK, saved.sum_N, factor, dw_NK, dscore_NE});
}

}  // namespace granule
