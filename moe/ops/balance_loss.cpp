#include "moe/ops/balance_loss.hpp"

#include <algorithm>
#include <numeric>

#include "moe/ops/valid_tokens.hpp"

namespace granule {
namespace {

using ForwardArgs = BalanceLoss::ForwardArgs;
using BackwardArgs = BalanceLoss::BackwardArgs;

constexpr std::int64_t kRows = 256;  // rows of one task of backward

/// Replaces each element of the row by the mean over its device's experts.
void average_over_devices(double* row, std::int64_t experts, std::int64_t devices) {
  const std::int64_t size = experts / devices;
  for (double* first = row; first < row + experts; first += size) {
    const double mean = std::accumulate(first, first + size, 0.0) / static_cast<double>(size);
    std::fill_n(first, size, mean);
  }
}

/// f̄_ue / (T U), the factor of a score's gradient. It is 0 for a unit without a token.
void compute_weights(const ForwardArgs& args) {
  const std::int64_t units = args.count_UE.shape()[0], experts = args.count_UE.shape()[1],
                     per_unit = units > 0 ? args.score_NE.shape()[0] / units : 0;
  const auto* const count = args.count_UE.data<const std::int64_t>();
  std::fill_n(args.weight_UE.data<double>(), units * experts, 0.0);
  for (std::int64_t u = 0; u < units; ++u) {
    const auto tokens = static_cast<double>(count_valid(args.valid_N, (u + 1) * per_unit, u * per_unit));
    if (tokens == 0.0) continue;
    double* const row = args.weight_UE.data<double>() + u * experts;
    const double scale = static_cast<double>(experts) / (static_cast<double>(args.choices) * tokens) /
                         (tokens * static_cast<double>(units));
    for (std::int64_t e = 0; e < experts; ++e) row[e] = scale * static_cast<double>(count[u * experts + e]);
    if (args.devices > 0) average_over_devices(row, experts, args.devices);
  }
}

/// Σ_t Σ_e weight_ue s_te over the tokens of unit u, in row order.
template <class T>
double unit_sum(const ForwardArgs& args, std::int64_t u) {
  const std::int64_t experts = args.score_NE.shape()[1],
                     per_unit = args.score_NE.shape()[0] / args.count_UE.shape()[0];
  const T* const scores = args.score_NE.data<const T>();
  const double* const weight = args.weight_UE.data<const double>() + u * experts;
  double sum = 0.0;
  for (std::int64_t t = u * per_unit; t < (u + 1) * per_unit; ++t) {
    for (std::int64_t e = 0; is_valid(args.valid_N, t) && e < experts; ++e)
      sum += weight[e] * static_cast<double>(scores[t * experts + e]);
  }
  return sum;
}

/// The workspace has the sum of each unit.
void forward_cpu(const ForwardArgs& args, Workspace& workspace) {
  const std::int64_t units = args.count_UE.shape()[0];
  compute_weights(args);
  auto* const sums = workspace.take<double>(units);
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    args.score_NE.context().pool().run(units, [&](std::int64_t u) { sums[u] = unit_sum<T>(args, u); });
  });
  *args.y.data<double>() = std::accumulate(sums, sums + units, 0.0);
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  return workspace_bytes({{args.count_UE.shape()[0], DType::f64}});
}

void backward_cpu(const BackwardArgs& args) {
  const std::int64_t units = args.weight_UE.shape()[0], e = args.weight_UE.shape()[1],
                     n = args.dscore_NE.dst.shape()[0];
  const double seed = *args.dy.data<const double>();
  const auto* const weight = args.weight_UE.data<const double>();
  dispatch_float(args.dscore_NE.dst.dtype(), [&]<class T>() {
    T* const out = args.dscore_NE.dst.data<T>();
    const bool add = args.dscore_NE.beta != 0.0;
    parallel_chunks(args.dy.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const double* const row = weight + t / (n / units) * e;
        const double scale = is_valid(args.valid_N, t) ? seed : 0.0;
        for (std::int64_t j = 0; j < e; ++j) {
          const T d = static_cast<T>(scale * row[j]);
          out[t * e + j] = add ? out[t * e + j] + d : d;
        }
      }
    });
  });
}

}  // namespace

constinit KernelSlot<ForwardArgs> BalanceLoss::forward_kernel{"balance_loss", forward_cpu, forward_workspace};
constinit KernelSlot<BackwardArgs> BalanceLoss::backward_kernel{"balance_loss backward", backward_cpu};

Tensor BalanceLoss::forward(Saved* saved, const Tensor& score_NE, const Tensor& count_UE,
                            const Tensor& valid_N) const {
  const std::int64_t n = score_NE.shape()[0], e = score_NE.shape()[1], units = count_UE.shape()[0];
  GRANULE_CHECK(count_UE.shape()[1] == e, "balance_loss: counts of {} experts, scores of {}",
                count_UE.shape()[1], e);
  GRANULE_CHECK(units > 0 ? n % units == 0 : n == 0, "balance_loss: {} tokens in {} equal units", n, units);
  GRANULE_CHECK(devices == 0 || e % devices == 0, "balance_loss: {} experts on {} devices", e, devices);
  Context& context = score_NE.context();
  const Tensor weight_UE = Tensor::empty(context, count_UE.shape(), DType::f64);
  Tensor y = Tensor::empty(context, {1}, DType::f64);
  forward_kernel({score_NE, count_UE, valid_N, choices, devices, weight_UE, y});
  if (saved != nullptr) *saved = {weight_UE, valid_N};
  return y;
}

void BalanceLoss::backward(const Saved& saved, const Tensor& dy, const Grad& dscore_NE) const {
  if (dscore_NE) backward_kernel({saved.weight_UE, saved.valid_N, dy, dscore_NE});
}

}  // namespace granule
