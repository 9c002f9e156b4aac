#include "core/gpu/runtime.cuh"
#include "core/gpu/swiglu.cuh"
#include "core/ops/swiglu.hpp"

namespace granule {
namespace {

void forward_cuda(const SwiGlu::ForwardArgs& args) {
  const std::int64_t N = args.y_NF.shape()[0], F = args.y_NF.shape()[1];
  dispatch_storage(args.y_NF.dtype(), [&]<class T>() {
    gpu::swiglu_rows(gpu::stream_of(args.y_NF), args.x_N2F.data<const T>(), N, F, args.y_NF.data<T>());
  });
}

void backward_cuda(const SwiGlu::BackwardArgs& args) {
  const std::int64_t N = args.dy_NF.shape()[0], F = args.dy_NF.shape()[1];
  dispatch_storage(args.dy_NF.dtype(), [&]<class T>() {
    gpu::swiglu_rows_backward(gpu::stream_of(args.dy_NF), args.x_N2F.data<const T>(),
                              args.dy_NF.data<const T>(), N, F, args.dx_N2F.beta, args.dx_N2F.dst.data<T>());
  });
}

const gpu::Kernels kernels([] {
  SwiGlu::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  SwiGlu::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
