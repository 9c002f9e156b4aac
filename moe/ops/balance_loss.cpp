#include "moe/ops/balance_loss.hpp"

#include <numeric>
#include <vector>

#include "moe/routing/valid_tokens.hpp"

namespace granule {
namespace {

/// Replaces each element of the row by the mean over its device's experts.
void average_over_devices(double* row, std::int64_t experts, std::int64_t devices) {
  const std::int64_t size = experts / devices;
  for (double* first = row; first < row + experts; first += size) {
    const double mean = std::accumulate(first, first + size, 0.0) / static_cast<double>(size);
    std::fill_n(first, size, mean);
  }
}

/// f̄_ue / (T U), the factor of a score's gradient. It is 0 for a unit without a token.
Tensor weights(const BalanceLoss& loss, const Tensor& count_UE, const Tensor& valid_N, std::int64_t rows) {
  const std::int64_t units = count_UE.shape()[0], experts = count_UE.shape()[1],
                     per_unit = units > 0 ? rows / units : 0;
  Tensor weight = Tensor::zeros(count_UE.context(), count_UE.shape(), DType::f64);
  const auto* const count = count_UE.data<const std::int64_t>();
  for (std::int64_t u = 0; u < units; ++u) {
    const auto tokens = static_cast<double>(count_valid(valid_N, (u + 1) * per_unit, u * per_unit));
    if (tokens == 0.0) continue;
    double* const row = weight.data<double>() + u * experts;
    const double scale = static_cast<double>(experts) / (static_cast<double>(loss.choices) * tokens) /
                         (tokens * static_cast<double>(units));
    for (std::int64_t e = 0; e < experts; ++e) row[e] = scale * static_cast<double>(count[u * experts + e]);
    if (loss.devices > 0) average_over_devices(row, experts, loss.devices);
  }
  return weight;
}

/// Σ_t Σ_e weight_ue s_te over the tokens among rows [begin, end), in row order.
template <class T>
double unit_sum(const Tensor& score_NE, const double* weight, const Tensor& valid_N, std::int64_t begin,
                std::int64_t end) {
  const std::int64_t experts = score_NE.shape()[1];
  const T* const scores = score_NE.data<const T>();
  double sum = 0.0;
  for (std::int64_t t = begin; t < end; ++t) {
    for (std::int64_t e = 0; is_valid(valid_N, t) && e < experts; ++e)
      sum += weight[e] * static_cast<double>(scores[t * experts + e]);
  }
  return sum;
}

}  // namespace

Tensor BalanceLoss::forward(Saved* saved, const Tensor& score_NE, const Tensor& count_UE,
                            const Tensor& valid_N) const {
  const std::int64_t n = score_NE.shape()[0], e = score_NE.shape()[1], units = count_UE.shape()[0];
  GRANULE_CHECK(count_UE.shape()[1] == e, "balance_loss: counts of {} experts, scores of {}",
                count_UE.shape()[1], e);
  GRANULE_CHECK(units > 0 ? n % units == 0 : n == 0, "balance_loss: {} tokens in {} equal units", n, units);
  GRANULE_CHECK(devices == 0 || e % devices == 0, "balance_loss: {} experts on {} devices", e, devices);
  const Tensor weight = weights(*this, count_UE, valid_N, n);
  std::vector<double> sums(static_cast<std::size_t>(units));
  dispatch_float(score_NE.dtype(), [&]<class T>() {
    score_NE.context().pool().run(units, [&](std::int64_t u) {
      sums[static_cast<std::size_t>(u)] = unit_sum<T>(score_NE, weight.data<const double>() + u * e, valid_N,
                                                      u * (n / units), (u + 1) * (n / units));
    });
  });
  Tensor y = Tensor::empty(score_NE.context(), {1}, DType::f64);
  *y.data<double>() = std::accumulate(sums.begin(), sums.end(), 0.0);
  if (saved != nullptr) *saved = {weight, valid_N, n, score_NE.dtype()};
  return y;
}

void BalanceLoss::backward(const Saved& saved, const Tensor& dy, Grad dscore_NE) const {
  if (!dscore_NE) return;
  const std::int64_t units = saved.weight_UE.shape()[0], e = saved.weight_UE.shape()[1], n = saved.rows;
  const double seed = dy.item<double>();
  const auto* const weight = saved.weight_UE.data<const double>();
  dispatch_float(saved.dtype, [&]<class T>() {
    T* const out = dscore_NE.dst.data<T>();
    const bool add = dscore_NE.beta != 0.0;
    parallel_chunks(dy.context().pool(), n, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const double* const row = weight + t / (n / units) * e;
        const double scale = is_valid(saved.valid_N, t) ? seed : 0.0;
        for (std::int64_t j = 0; j < e; ++j) {
          const T d = static_cast<T>(scale * row[j]);
          out[t * e + j] = add ? out[t * e + j] + d : d;
        }
      }
    });
  });
}

}  // namespace granule
