#include "optim/grad_norm.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/kernels/adamw.hpp"
#include "core/transfer.hpp"

namespace granule {
namespace {

constexpr std::int64_t kGrain = 1 << 18;

std::int64_t partial_sums(const SquaredNormArgs& args) {
  return (args.x.numel() + kGrain - 1) / kGrain;
}

void squared_norm_cpu(const SquaredNormArgs& args, Workspace& workspace) {
  const std::int64_t parts = partial_sums(args);
  double* const sums = workspace.take<double>(parts);
  dispatch_float(args.x.dtype(), [&]<class T>() {
    const T* const x = args.x.data<const T>();
    parallel_chunks(args.x.context().pool(), args.x.numel(), kGrain,
                    [=](std::int64_t begin, std::int64_t end) {
                      sums[begin / kGrain] = sum_of_squares(x + begin, end - begin);
                    });
  });
  *args.sum.data<double>() = std::accumulate(sums, sums + parts, 0.0);
}

std::int64_t squared_norm_workspace(const SquaredNormArgs& args, int /*threads*/) {
  return workspace_bytes({{partial_sums(args), DType::f64}});
}

}  // namespace

constinit KernelSlot<SquaredNormArgs> squared_norm_kernel{"squared norm", squared_norm_cpu,
                                                          squared_norm_workspace};

void squared_norm(const Tensor& gradients, const Tensor& sum) {
  GRANULE_CHECK(sum.numel() == 1, "squared norm: a sum of {} elements", sum.numel());
  squared_norm_kernel({gradients, sum});
}

double gradient_norm(const Tensor& gradients) {
  const Tensor sum = Tensor::empty(gradients.context(), {1}, DType::f64, MemoryCategory::scratch);
  squared_norm(gradients, sum);
  return std::sqrt(read_back<double>(sum).get()[0]);
}

double clip_factor(double norm, double limit) {
  constexpr double kEpsilon = 1e-6;
  return limit > 0.0 ? std::min(1.0, limit / (norm + kEpsilon)) : 1.0;
}

}  // namespace granule
