#include "optim/grad_norm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/adamw.hpp"

namespace granule {

double squared_norm(const Tensor& gradients) {
  constexpr std::int64_t kGrain = 1 << 16;
  std::vector<double> sums(static_cast<std::size_t>((gradients.numel() + kGrain - 1) / kGrain));
  dispatch_float(gradients.dtype(), [&]<class T>() {
    const T* const g = gradients.data<const T>();
    parallel_chunks(gradients.context().pool(), gradients.numel(), kGrain,
                    [&](std::int64_t begin, std::int64_t end) {
                      sums[static_cast<std::size_t>(begin / kGrain)] = sum_of_squares(g + begin, end - begin);
                    });
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

double gradient_norm(const Tensor& gradients) {
  return std::sqrt(squared_norm(gradients));
}

double clip_factor(double norm, double limit) {
  constexpr double kEpsilon = 1e-6;
  return limit > 0.0 ? std::min(1.0, limit / (norm + kEpsilon)) : 1.0;
}

}  // namespace granule
