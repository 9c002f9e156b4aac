#include "core/kernels/gemm.cuh"
#include "core/kernels/matmul.hpp"

namespace granule {
namespace {

template <class T, class Out>
void multiply(const MatmulArgs& args) {
  const Tensor &a = args.a, &b = args.b, &c = args.c.dst;
  gpu::gemm<T, Out>(
      gpu::runtime_of(c), c.shape()[0], c.shape()[1], a.shape()[args.transpose_a == Transpose::yes ? 0 : 1],
      {a.data<const T>(), a.shape()[1], args.transpose_a},
      {b.data<const T>(), b.shape()[1], args.transpose_b}, {c.data<Out>(), c.shape()[1], args.c.beta});
}

void matmul_cuda(const MatmulArgs& args) {
  dispatch_storage(args.a.dtype(), [&]<class T>() {
    args.c.dst.dtype() == dtype_of<T> ? multiply<T, T>(args) : multiply<T, Wide<T>>(args);
  });
}

const gpu::Kernels kernels([] {
  matmul_kernel.fill(DeviceType::cuda, matmul_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
