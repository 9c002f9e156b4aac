#include "moe/ops/balance_loss.hpp"

#include <vector>

namespace granule {
namespace {

Tensor fractions(std::int64_t choices, std::int64_t tokens, const Tensor& count_UE) {
  const std::int64_t units = count_UE.shape()[0], experts = count_UE.shape()[1];
  Tensor fraction = Tensor::empty(count_UE.context(), count_UE.shape(), DType::f64);
  const auto* const count = count_UE.data<const std::int64_t>();
  const double scale = static_cast<double>(experts) * static_cast<double>(units) /
                       (static_cast<double>(choices) * static_cast<double>(tokens));
  for (std::int64_t i = 0; i < units * experts; ++i)
    fraction.data<double>()[i] = scale * static_cast<double>(count[i]);
  return fraction;
}

/// Σ_t Σ_e f_ue s_te of one unit, in row order.
template <class T>
double unit_sum(const T* scores, const double* fraction, std::int64_t rows, std::int64_t experts) {
  double sum = 0.0;
  for (std::int64_t t = 0; t < rows; ++t) {
    for (std::int64_t e = 0; e < experts; ++e)
      sum += fraction[e] * static_cast<double>(scores[t * experts + e]);
  }
  return sum;
}

}  // namespace

Tensor BalanceLoss::forward(Saved* saved, const Tensor& score_NE, const Tensor& count_UE) const {
  const std::int64_t n = score_NE.shape()[0], e = score_NE.shape()[1], units = count_UE.shape()[0];
  GRANULE_CHECK(count_UE.shape()[1] == e, "balance_loss: counts of {} experts, scores of {}",
                count_UE.shape()[1], e);
  GRANULE_CHECK(n > 0 && n % units == 0, "balance_loss: {} tokens in {} equal units", n, units);
  const Tensor fraction = fractions(choices, n, count_UE);
  std::vector<double> sums(static_cast<std::size_t>(units));
  dispatch_float(score_NE.dtype(), [&]<class T>() {
    score_NE.context().pool().run(units, [&](std::int64_t u) {
      sums[static_cast<std::size_t>(u)] = unit_sum(score_NE.data<const T>() + u * (n / units) * e,
                                                   fraction.data<const double>() + u * e, n / units, e);
    });
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  Tensor y = Tensor::empty(score_NE.context(), {1}, DType::f64);
  *y.data<double>() = total / static_cast<double>(n);  // mean over units of means over as many tokens each
  if (saved != nullptr) *saved = {fraction, n, score_NE.dtype()};
  return y;
}

void BalanceLoss::backward(const Saved& saved, const Tensor& dy, Grad dscore_NE) const {
  if (!dscore_NE) return;
  const std::int64_t units = saved.fraction_UE.shape()[0], e = saved.fraction_UE.shape()[1], n = saved.tokens;
  const double scale = dy.item<double>() / static_cast<double>(n);
  const auto* const fraction = saved.fraction_UE.data<const double>();
  dispatch_float(saved.dtype, [&]<class T>() {
    T* const out = dscore_NE.dst.data<T>();
    const bool add = dscore_NE.beta != 0.0;
    parallel_chunks(dy.context().pool(), n, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const double* const f = fraction + t / (n / units) * e;
        for (std::int64_t j = 0; j < e; ++j) {
          const T d = static_cast<T>(scale * f[j]);
          out[t * e + j] = add ? out[t * e + j] + d : d;
        }
      }
    });
  });
}

}  // namespace granule
