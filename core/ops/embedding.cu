#include "core/gpu/runtime.cuh"
#include "core/gpu/stable_sort.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/embedding.hpp"

namespace granule {
namespace {

/// There is one block for each token.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    copy_rows(const T* __restrict__ w, const std::int32_t* __restrict__ id, std::int64_t V, std::int64_t D,
              gpu::Fault fault, T* __restrict__ y) {
  const std::int64_t row = id[blockIdx.x];
  if (row < 0 || row >= V) {
    if (threadIdx.x == 0) fault.report(row, blockIdx.x, V);
    return;
  }
  const T* const from = w + row * D;
  T* const to = y + blockIdx.x * D;
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += blockDim.x)
    gpu::store(to, p, gpu::load<kWidth>(from, p));
}

constexpr int kDigit = 8;  // bits by which one pass sorts

/// Eight bits of the id of token i.
struct Digit {
  const std::int32_t* id;
  int shift;
  __device__ int operator()(std::int64_t i) const {
    return static_cast<int>(static_cast<unsigned>(id[i]) >> static_cast<unsigned>(shift)) &
           ((1 << kDigit) - 1);
  }
};
struct Tokens {
  std::int32_t *id, *token;
};
struct MoveToken {
  const std::int32_t *id, *token;  // token nullptr: the i-th is i
  Tokens to;
  __device__ void operator()(std::int64_t i, int place) const {
    to.id[place] = id[i];
    to.token[place] = token == nullptr ? static_cast<std::int32_t>(i) : token[i];
  }
};

/// There is one block for each token of the sorted order. The block of an id's first token adds the rows of
/// all its tokens in their order, and the other blocks do nothing.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    add_rows(Tokens sorted, std::int64_t N, std::int64_t V, const T* __restrict__ dy, std::int64_t D,
             Wide<T>* __restrict__ dw) {
  const std::int64_t first = blockIdx.x, row = sorted.id[first];
  if (row < 0 || row >= V || (first > 0 && sorted.id[first - 1] == row)) return;
  std::int64_t end = first + 1;
  while (end < N && sorted.id[end] == row) ++end;
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += blockDim.x) {
    auto sum = gpu::load<kWidth>(dw + row * D, p);
    for (std::int64_t i = first; i < end; ++i) {
      const auto g = gpu::load_wide<kWidth>(dy + sorted.token[i] * D, p);
      for (int j = 0; j < kWidth; ++j) sum.value[j] += g.value[j];
    }
    gpu::store(dw + row * D, p, sum);
  }
}

void forward_cuda(const Embedding::ForwardArgs& args) {
  const std::int64_t N = args.id_N.numel(), V = args.w_VD.shape()[0], D = args.w_VD.shape()[1];
  gpu::Runtime& runtime = gpu::runtime_of(args.y_ND);
  const gpu::Fault fault = GRANULE_FAULT(runtime, "embedding: id {} of row {}, the table has {} rows");
  dispatch_storage(args.w_VD.dtype(), [&]<class T>() {
    const T* w = args.w_VD.data<const T>();
    T* y = args.y_ND.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(runtime.stream(), copy_rows<T, kWidth>, {N, 1, gpu::threads_for_row(D / kWidth)}, w,
                  args.id_N.data<const std::int32_t>(), V, D, fault, y);
    };
    gpu::dispatch_width<T>(D, launch, w, y);
  });
}

/// The tokens sorted by id, and of one id by position. A pass sorts by eight bits, the lowest first.
Tokens sort_tokens(const Embedding::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.id_N.numel(), V = args.dw_VD.shape()[0];
  Tokens now{workspace.take<std::int32_t>(N), workspace.take<std::int32_t>(N)},
      next{workspace.take<std::int32_t>(N), workspace.take<std::int32_t>(N)};
  auto* const counts = workspace.take<std::int32_t>(gpu::sort_counts(N, 1 << kDigit));
  const std::int32_t *id = args.id_N.data<const std::int32_t>(), *token = nullptr;
  int shift = 0;
  do {
    gpu::stable_sort(gpu::stream_of(args.id_N), N, 1 << kDigit, counts, Digit{id, shift},
                     MoveToken{id, token, next});
    std::swap(now, next);
    id = now.id;
    token = now.token;
    shift += kDigit;
  } while (shift < 32 && (V - 1) >> shift > 0);
  return now;
}

void backward_cuda(const Embedding::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.id_N.numel(), V = args.dw_VD.shape()[0], D = args.dy_ND.shape()[1];
  if (N == 0) return;
  const Tokens sorted = sort_tokens(args, workspace);
  dispatch_storage(args.dy_ND.dtype(), [&]<class T>() {
    const T* dy = args.dy_ND.data<const T>();
    Wide<T>* dw = args.dw_VD.data<Wide<T>>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.id_N), add_rows<T, kWidth>, {N, 1, gpu::threads_for_row(D / kWidth)},
                  sorted, N, V, dy, D, dw);
    };
    gpu::dispatch_width<T>(D, launch, dy, dw);
  });
}

std::int64_t backward_workspace(const Embedding::BackwardArgs& args, int /*threads*/) {
  const std::int64_t N = args.id_N.numel();
  return workspace_bytes({{N, DType::i32},
                          {N, DType::i32},
                          {N, DType::i32},
                          {N, DType::i32},
                          {gpu::sort_counts(N, 1 << kDigit), DType::i32}});
}

const gpu::Kernels kernels([] {
  Embedding::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  Embedding::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
