#include "moe/routing/score_entropy.hpp"

#include <cmath>
#include <numeric>
#include <vector>

#include "moe/routing/valid_tokens.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

/// With σ = Σ s: −Σ (s/σ) log(s/σ) = log σ − Σ s log s / σ.
template <class T>
double row_entropy(const T* s, std::int64_t experts) {
  T sum = 0, weighted = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    sum += s[e];
    weighted += s[e] > T(0) ? s[e] * std::log(s[e]) : T(0);
  }
  return sum > T(0) ? static_cast<double>(std::log(sum) - weighted / sum) : 0.0;
}

}  // namespace

double score_entropy(const Tensor& score_NE, const Tensor& valid_N) {
  const std::int64_t n = score_NE.shape()[0], e = score_NE.shape()[1];
  std::vector<double> sums(static_cast<std::size_t>((n + kRows - 1) / kRows));
  dispatch_float(score_NE.dtype(), [&]<class T>() {
    const T* const scores = score_NE.data<const T>();
    parallel_chunks(score_NE.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      double sum = 0.0;
      for (std::int64_t i = begin; i < end; ++i) {
        if (is_valid(valid_N, i)) sum += row_entropy(scores + i * e, e);
      }
      sums[static_cast<std::size_t>(begin / kRows)] = sum;
    });
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace granule
