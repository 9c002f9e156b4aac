#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/bias_add.hpp"

namespace granule {
namespace {

/// A thread has one pack of y.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    add_bias(const T* __restrict__ x, const T* __restrict__ b, std::int64_t n, std::int64_t packs,
             T* __restrict__ y) {
  const std::int64_t i = gpu::thread_index();
  if (i >= n) return;
  auto sum = gpu::load_wide<kWidth>(x, i);
  const auto bias = gpu::load_wide<kWidth>(b, i % packs);
  for (int j = 0; j < kWidth; ++j) sum.value[j] += bias.value[j];
  gpu::store_rounded(y, i, sum);
}

/// A block sums kRows rows, with a thread for each column.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    sum_rows(const T* __restrict__ dy, std::int64_t N, std::int64_t O, Wide<T>* __restrict__ partial) {
  const std::int64_t column = gpu::thread_index(), begin = blockIdx.y * BiasAdd::kRows;
  if (column >= O) return;
  const std::int64_t end = begin + BiasAdd::kRows < N ? begin + BiasAdd::kRows : N;
  Wide<T> sum = Wide<T>(0);
  for (std::int64_t row = begin; row < end; ++row) sum += gpu::wide(dy[row * O + column]);
  partial[blockIdx.y * O + column] = sum;
}

void forward_cuda(const BiasAdd::ForwardArgs& args) {
  const std::int64_t N = args.y_NO.shape()[0], O = args.b_O.numel();
  dispatch_storage(args.y_NO.dtype(), [&]<class T>() {
    const T *x = args.x_NO.data<const T>(), *b = args.b_O.data<const T>();
    T* y = args.y_NO.data<T>();
    const auto launch = [&]<int kWidth>() {
      const std::int64_t packs = O / kWidth;
      gpu::launch(gpu::stream_of(args.y_NO), add_bias<T, kWidth>, gpu::one_thread_each(N * packs), x, b,
                  N * packs, packs, y);
    };
    gpu::dispatch_width<T>(O, launch, x, b, y);
  });
}

void backward_cuda(const BiasAdd::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.dy_NO.shape()[0], O = args.dy_NO.shape()[1],
                     parts = gpu::ceil_div(N, BiasAdd::kRows);
  const cudaStream_t stream = gpu::stream_of(args.dy_NO);
  dispatch_storage(args.dy_NO.dtype(), [&]<class T>() {
    Wide<T>* const partial = workspace.take<Wide<T>>(parts * O);
    gpu::LaunchShape shape = gpu::one_thread_each(O);
    shape.blocks_y = parts;
    gpu::launch(stream, sum_rows<T>, shape, args.dy_NO.data<const T>(), N, O, partial);
    gpu::sum_columns(stream, partial, parts, O, args.db_O.beta, args.db_O.dst.data<Wide<T>>());
  });
}
std::int64_t backward_workspace(const BiasAdd::BackwardArgs& args, int /*threads*/) {
  const std::int64_t parts = gpu::ceil_div(args.dy_NO.shape()[0], BiasAdd::kRows);
  return workspace_bytes({{parts * args.dy_NO.shape()[1], wide_of(args.dy_NO.dtype())}});
}

const gpu::Kernels kernels([] {
  BiasAdd::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  BiasAdd::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
