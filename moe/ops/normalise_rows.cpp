#include "moe/ops/normalise_rows.hpp"

#include <numeric>

namespace granule {
namespace {

constexpr std::int64_t kRows = 256;  // rows of one task
constexpr double kEpsilon = 1e-20;   // as in gate_weights.cpp

}  // namespace

Tensor NormaliseRows::forward(Saved* saved, const Tensor& s_NE) const {
  const std::int64_t n = s_NE.shape()[0], e = s_NE.shape()[1];
  Tensor p = s_NE.empty_like(s_NE.shape()), sums = s_NE.empty_like({n});
  dispatch_float(s_NE.dtype(), [&]<class T>() {
    const T* const s = s_NE.data<const T>();
    T *const out = p.data<T>(), *const sum = sums.data<T>();
    parallel_chunks(s_NE.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        sum[i] = std::accumulate(s + i * e, s + (i + 1) * e, T(0)) + static_cast<T>(kEpsilon);
        for (std::int64_t j = i * e; j < (i + 1) * e; ++j) out[j] = s[j] / sum[i];
      }
    });
  });
  if (saved != nullptr) *saved = {p, sums};
  return p;
}

void NormaliseRows::backward(const Saved& saved, const Tensor& dp_NE, const Grad& ds_NE) const {
  if (!ds_NE) return;
  const std::int64_t n = dp_NE.shape()[0], e = dp_NE.shape()[1];
  dispatch_float(dp_NE.dtype(), [&]<class T>() {
    const T *const p = saved.p_NE.data<const T>(), *const sum = saved.sum_N.data<const T>(),
                   *const g = dp_NE.data<const T>();
    T* const out = ds_NE.dst.data<T>();
    parallel_chunks(dp_NE.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T dot = std::inner_product(p + i * e, p + (i + 1) * e, g + i * e, T(0));
        for (std::int64_t j = i * e; j < (i + 1) * e; ++j) {
          const T d = (g[j] - dot) / sum[i];
          out[j] = ds_NE.beta == 0.0 ? d : out[j] + d;
        }
      }
    });
  });
}

}  // namespace granule
