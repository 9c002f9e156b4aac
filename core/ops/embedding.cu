#include "core/gpu.hpp"
#include "core/kernels/reduce.cuh"
#include "core/kernels/vector.cuh"
#include "core/ops/embedding.hpp"

namespace granule {
namespace {

using gpu::Pack;

constexpr unsigned kThreads = 256;
constexpr unsigned kWarps = kThreads / gpu::kWarp;

/// The first position of an id outside [0, V), or N. It runs as one block.
__global__ void find_foreign_id(const std::int32_t* id, std::int64_t N, std::int64_t V, std::int64_t* place) {
  __shared__ std::int64_t first[kThreads];
  std::int64_t mine = N;
  for (std::int64_t i = threadIdx.x; i < N && mine == N; i += kThreads) {
    if (id[i] < 0 || id[i] >= V) mine = i;
  }
  first[threadIdx.x] = mine;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half && first[threadIdx.x + half] < first[threadIdx.x]) {
      first[threadIdx.x] = first[threadIdx.x + half];
    }
  }
  if (threadIdx.x == 0) *place = first[0];
}

/// There is one block for each token.
template <class T, int kWidth>
__global__ void copy_rows(const T* w, const std::int32_t* id, std::int64_t D, T* y) {
  const T* const from = w + id[blockIdx.x] * D;
  T* const to = y + blockIdx.x * D;
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += blockDim.x)
    gpu::store(to, p, gpu::load<kWidth>(from, p));
}

/// dw[d] += dy[i] for the packs of one row that this thread owns.
template <class T, int kWidth>
__device__ void add_row(const T* dy, std::int64_t D, T* dw) {
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += kThreads) {
    Pack<T, kWidth> sum = gpu::load<kWidth>(dw, p);
    const Pack<T, kWidth> g = gpu::load<kWidth>(dy, p);
    for (int i = 0; i < kWidth; ++i) sum.value[i] += g.value[i];
    gpu::store(dw, p, sum);
  }
}

/// There is one block for each token. The block of an id's first token adds the rows of all its tokens in
/// their order, and the other blocks do nothing. There are no atomics, so the order is always the same.
template <class T, int kWidth>
__global__ void add_rows_of_first_tokens(const std::int32_t* id, std::int64_t N, const T* dy, std::int64_t D,
                                         T* dw) {
  __shared__ unsigned same_in_warp[kWarps];
  const std::int64_t token = blockIdx.x;
  const std::int32_t mine = id[token];
  bool earlier = false;
  for (std::int64_t i = threadIdx.x; i < token && !earlier; i += kThreads) earlier = id[i] == mine;
  if (__syncthreads_or(earlier) != 0) return;
  for (std::int64_t begin = token; begin < N; begin += kThreads) {
    const std::int64_t i = begin + threadIdx.x;
    const unsigned same = __ballot_sync(gpu::kAllLanes, i < N && id[i] == mine);
    if (threadIdx.x % gpu::kWarp == 0) same_in_warp[threadIdx.x / gpu::kWarp] = same;
    __syncthreads();
    for (unsigned warp = 0; warp < kWarps; ++warp) {
      for (unsigned left = same_in_warp[warp]; left != 0; left &= left - 1) {
        const std::int64_t row =
            begin + warp * gpu::kWarp + static_cast<unsigned>(__ffs(static_cast<int>(left)) - 1);
        add_row<T, kWidth>(dy + row * D, D, dw + mine * D);
      }
    }
    __syncthreads();
  }
}

/// Waits for the device, so that a wrong id is reported here and not later as a wrong address.
void check_ids(const Tensor& w_VD, const Tensor& id_N, std::int64_t* place) {
  const std::int64_t N = id_N.numel(), V = w_VD.shape()[0];
  gpu::launch(find_foreign_id, {1, 1, kThreads}, id_N.data<const std::int32_t>(), N, V, place);
  std::int64_t found = N;
  GRANULE_GPU_CHECK(cudaMemcpyAsync(&found, place, sizeof(found), cudaMemcpyDeviceToHost, gpu::stream()));
  GRANULE_GPU_CHECK(cudaStreamSynchronize(gpu::stream()));
  GRANULE_CHECK(found == N, "embedding: the id of row {} is not in a table of {} rows", found, V);
}

void forward_cuda(const Embedding::ForwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.id_N.numel(), D = args.w_VD.shape()[1];
  check_ids(args.w_VD, args.id_N, workspace.take<std::int64_t>(1));
  dispatch_float(args.w_VD.dtype(), [&]<class T>() {
    const T* w = args.w_VD.data<const T>();
    const std::int32_t* id = args.id_N.data<const std::int32_t>();
    T* y = args.y_ND.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(copy_rows<T, kWidth>, {N, 1, kThreads}, w, id, D, y);
    };
    gpu::dispatch_width<T>(D, launch, w, y);
  });
}

std::int64_t forward_workspace(const Embedding::ForwardArgs& /*args*/, int /*threads*/) {
  return workspace_bytes({{1, DType::i64}});
}

void backward_cuda(const Embedding::BackwardArgs& args) {
  const std::int64_t N = args.id_N.numel(), D = args.dy_ND.shape()[1];
  dispatch_float(args.dy_ND.dtype(), [&]<class T>() {
    const T* dy = args.dy_ND.data<const T>();
    const std::int32_t* id = args.id_N.data<const std::int32_t>();
    T* dw = args.dw_VD.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(add_rows_of_first_tokens<T, kWidth>, {N, 1, kThreads}, id, N, dy, D, dw);
    };
    gpu::dispatch_width<T>(D, launch, dy, dw);
  });
}

const gpu::Kernels kernels([] {
  Embedding::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  Embedding::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
