#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "optim/grad_norm.hpp"

namespace granule {
namespace {

/// The sum of the squares of a pack.
template <class T, int kWidth>
struct Squares {
  const T* x;
  __device__ double operator()(std::int64_t p) const {
    const gpu::Pack<T, kWidth> values = gpu::load<kWidth>(x, p);
    double sum = 0.0;
    for (const T value : values.value) sum += static_cast<double>(value) * static_cast<double>(value);
    return sum;
  }
};
struct Total {
  double* y;
  __device__ void operator()(double sum) const { *y = sum; }
};

void squared_norm_cuda(const SquaredNormArgs& args, Workspace& workspace) {
  const std::int64_t n = args.x.numel();
  auto* const partial = workspace.take<double>(gpu::partial_sums(n));
  dispatch_float(args.x.dtype(), [&]<class T>() {
    const T* const x = args.x.data<const T>();
    const auto add = [&]<int kWidth>() {
      gpu::sum(gpu::stream_of(args.x), n / kWidth, partial, Squares<T, kWidth>{x},
               Total{args.sum.data<double>()});
    };
    gpu::dispatch_width<T>(n, add, x);
  });
}
std::int64_t squared_norm_workspace(const SquaredNormArgs& args, int /*threads*/) {
  return workspace_bytes({{gpu::partial_sums(args.x.numel()), DType::f64}});
}

const gpu::Kernels kernels([] {
  squared_norm_kernel.fill(DeviceType::cuda, squared_norm_cuda, squared_norm_workspace);
  return 1;
});

}  // namespace
}  // namespace granule
