#include "moe/ops/add_scaled.hpp"

namespace granule {
namespace {

void add_scaled_cpu(const AddScaledArgs& args) {
  *args.sum.data<double>() += *args.value.data<const double>() * args.factor;
}

}  // namespace

constinit KernelSlot<AddScaledArgs> add_scaled_kernel{"add_scaled", add_scaled_cpu};

}  // namespace granule
