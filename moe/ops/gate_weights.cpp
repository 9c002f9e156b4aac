#include "moe/ops/gate_weights.hpp"

#include <algorithm>
#include <numeric>

namespace granule {
namespace {

constexpr std::int64_t kRows = 256;  // rows of one task
constexpr double kEpsilon = 1e-20;   // the reference's

template <class T>
void forward_cpu(bool normalise, T factor, const Tensor& score, const Tensor& id, const Tensor& w,
                 const Tensor& sum) {
  const std::int64_t e = score.shape()[1], k = id.shape()[1];
  const T* const s = score.data<const T>();
  const auto* const ids = id.data<const std::int32_t>();
  T* const out = w.data<T>();
  parallel_chunks(score.context().pool(), score.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[j] = s[i * e + ids[j]];
      if (normalise) {
        const T total = std::accumulate(out + i * k, out + (i + 1) * k, T(0)) + static_cast<T>(kEpsilon);
        for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[j] /= total;
        sum.data<T>()[i] = total;
      }
      for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[j] *= factor;
    }
  });
}

template <class T>
void backward_cpu(bool normalise, T factor, const GateWeights::Saved& saved, const Tensor& dw,
                  const Grad& dscore) {
  const std::int64_t e = dscore.dst.shape()[1], k = dw.shape()[1];
  const auto* const ids = saved.id_NK.data<const std::int32_t>();
  const T *const w = saved.w_NK.data<const T>(), *const g = dw.data<const T>();
  T* const out = dscore.dst.data<T>();
  parallel_chunks(dw.context().pool(), dw.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
    if (dscore.beta == 0.0) std::fill(out + begin * e, out + end * e, T(0));
    for (std::int64_t i = begin; i < end; ++i) {
      const T dot = normalise ? std::inner_product(w + i * k, w + (i + 1) * k, g + i * k, T(0)) : T(0);
      const T scale = normalise ? T(1) / saved.sum_N.data<const T>()[i] : T(1);
      for (std::int64_t j = i * k; j < (i + 1) * k; ++j) out[i * e + ids[j]] += (factor * g[j] - dot) * scale;
    }
  });
}

}  // namespace

Tensor GateWeights::forward(Saved* saved, const Tensor& score_NE, const Tensor& id_NK) const {
  GRANULE_CHECK(id_NK.shape()[0] == score_NE.shape()[0], "gate_weights: {} rows of ids, {} of scores",
                id_NK.shape()[0], score_NE.shape()[0]);
  const bool divide = normalise && id_NK.shape()[1] > 1;
  Tensor w = score_NE.empty_like(id_NK.shape());
  const Tensor sum = divide ? score_NE.empty_like({id_NK.shape()[0]}) : Tensor{};
  dispatch_float(score_NE.dtype(),
                 [&]<class T>() { forward_cpu<T>(divide, static_cast<T>(factor), score_NE, id_NK, w, sum); });
  if (saved != nullptr) *saved = {id_NK, w, sum};
  return w;
}

void GateWeights::backward(const Saved& saved, const Tensor& dw_NK, Grad dscore_NE) const {
  if (!dscore_NE) return;
  dispatch_float(dw_NK.dtype(), [&]<class T>() {
    backward_cpu<T>(saved.sum_N.defined(), static_cast<T>(factor), saved, dw_NK, dscore_NE);
  });
}

}  // namespace granule
