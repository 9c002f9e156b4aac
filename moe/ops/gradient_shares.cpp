#include "moe/ops/gradient_shares.hpp"

#include <array>

namespace granule {
namespace {

void shares_cpu(const GradientSharesArgs& args) {
  std::array<double, 2> sum{};
  dispatch_float(args.gradient.dtype(), [&]<class T>() {
    const T *const all = args.gradient.data<const T>(), *const part = args.of_balance.data<const T>();
    for (std::int64_t i = 0; i < args.gradient.numel(); ++i) {
      const double balance = static_cast<double>(part[i]), rest = static_cast<double>(all[i]) - balance;
      sum[0] += balance * balance;
      sum[1] += rest * rest;
    }
  });
  args.sum_2.data<double>()[0] += sum[0];
  args.sum_2.data<double>()[1] += sum[1];
}

}  // namespace

constinit KernelSlot<GradientSharesArgs> gradient_shares_kernel{"gradient_shares", shares_cpu};

}  // namespace granule
