#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/rms_norm.hpp"

namespace granule {
namespace {

using gpu::Pack;

// A thread keeps so many packs of a row in registers, as they are stored. So each element crosses the
// memory's bus once. More than 32 elements would not leave registers for sums of them in float. Sums are
// Wide<T> within a thread, and float64 across the block.
template <int kWidth>
constexpr int kPacks = kWidth == 8 ? 4 : 8;
constexpr unsigned kMostThreads = 256;
// With more partial sums the second stage would read more than it saves. It depends on N alone.
constexpr std::int64_t kMostPartials = 256;

/// The packs of a row that belong to this thread: numbers threadIdx.x + k · blockDim.x.
template <class T, int kWidth>
struct RowPart {
  Pack<T, kWidth> pack[kPacks<kWidth>];

  __device__ void load(const T* __restrict__ row, std::int64_t packs) {
    for (int k = 0; k < kPacks<kWidth>; ++k) {
      const std::int64_t p = threadIdx.x + static_cast<std::int64_t>(k) * blockDim.x;
      pack[k] = p < packs ? gpu::load<kWidth>(row, p) : Pack<T, kWidth>{};
    }
  }
  __device__ void store(T* row, std::int64_t packs) const {
    for (int k = 0; k < kPacks<kWidth>; ++k) {
      const std::int64_t p = threadIdx.x + static_cast<std::int64_t>(k) * blockDim.x;
      if (p < packs) gpu::store(row, p, pack[k]);
    }
  }
};

/// There is one block for each row.
template <class T, int kWidth>
__global__ void __launch_bounds__(kMostThreads)
    forward_rows(const T* __restrict__ x, const T* __restrict__ w, double eps, std::int64_t D,
                 T* __restrict__ y, Wide<T>* __restrict__ r) {
  using W = Wide<T>;
  const std::int64_t packs = D / kWidth, row = blockIdx.x;
  RowPart<T, kWidth> u, v;
  u.load(x + row * D, packs);
  v.load(w, packs);
  W square = W(0);
  for (const auto& pack : u.pack) {
    const auto value = gpu::wide(pack);
    for (int i = 0; i < kWidth; ++i) square += value.value[i] * value.value[i];
  }
  const double mean = gpu::over_block(static_cast<double>(square)) / static_cast<double>(D);
  const W scale = static_cast<W>(1.0 / sqrt(mean + eps));
  if (threadIdx.x == 0) r[row] = scale;
  for (int k = 0; k < kPacks<kWidth>; ++k) {
    auto value = gpu::wide(u.pack[k]);
    const auto weight = gpu::wide(v.pack[k]);
    for (int i = 0; i < kWidth; ++i) value.value[i] = weight.value[i] * (value.value[i] * scale);
    u.pack[k] = gpu::rounded<T>(value);
  }
  u.store(y + row * D, packs);
}

template <class T>
struct Backward {
  const T *x, *w, *dy;
  const Wide<T>* r;
  std::int64_t N, D, rows;
  Wide<T> beta;
  T* dx;  // nullptr: not wanted, as in partial
  Wide<T>* partial;
};

/// A block has `rows` rows, one after the other. It writes their dx, and the sum of their parts of dw.
template <class T, int kWidth>
__global__ void __launch_bounds__(kMostThreads) backward_rows(Backward<T> a) {
  using W = Wide<T>;
  const std::int64_t packs = a.D / kWidth, begin = blockIdx.x * a.rows;
  const std::int64_t end = begin + a.rows < a.N ? begin + a.rows : a.N;
  RowPart<T, kWidth> w;
  RowPart<W, kWidth> sum{};
  w.load(a.w, packs);
  for (std::int64_t row = begin; row < end; ++row) {
    RowPart<T, kWidth> u, g;
    u.load(a.x + row * a.D, packs);
    g.load(a.dy + row * a.D, packs);
    W dot = W(0);
    for (int k = 0; k < kPacks<kWidth>; ++k) {
      const auto value = gpu::wide(u.pack[k]), slope = gpu::wide(g.pack[k]), weight = gpu::wide(w.pack[k]);
      for (int i = 0; i < kWidth; ++i) dot += weight.value[i] * slope.value[i] * value.value[i];
    }
    const W scale = a.r[row];
    const double wide = static_cast<double>(scale), all = gpu::over_block(static_cast<double>(dot));
    const W c = static_cast<W>(wide * wide * wide * all / static_cast<double>(a.D));
    for (int k = 0; k < kPacks<kWidth>; ++k) {
      const auto value = gpu::wide(u.pack[k]), slope = gpu::wide(g.pack[k]), weight = gpu::wide(w.pack[k]);
      const std::int64_t p = threadIdx.x + static_cast<std::int64_t>(k) * blockDim.x;
      Pack<W, kWidth> out{};
      if (a.dx != nullptr && a.beta != W(0) && p < packs) out = gpu::load_wide<kWidth>(a.dx + row * a.D, p);
      for (int i = 0; i < kWidth; ++i) {
        sum.pack[k].value[i] += slope.value[i] * (value.value[i] * scale);
        const W gradient = scale * (weight.value[i] * slope.value[i]) - c * value.value[i];
        out.value[i] = gradient + a.beta * out.value[i];
      }
      if (a.dx != nullptr && p < packs) gpu::store_rounded(a.dx + row * a.D, p, out);
    }
  }
  if (a.partial != nullptr) sum.store(a.partial + blockIdx.x * a.D, packs);
}

/// Throws for rows that no block can keep in registers.
template <int kWidth>
gpu::LaunchShape shape_of(std::int64_t blocks, std::int64_t D) {
  constexpr std::int64_t kMost = std::int64_t{kMostThreads} * kPacks<kWidth> * kWidth;
  GRANULE_CHECK(D <= kMost, "rms_norm: rows of {} elements, CUDA takes {} of this alignment", D, kMost);
  return {blocks, 1, gpu::threads_for_row(gpu::ceil_div(D / kWidth, kPacks<kWidth>), kMostThreads)};
}

void forward_cuda(const RmsNorm::ForwardArgs& args) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() {
    const T *x = args.x_ND.data<const T>(), *w = args.w_D.data<const T>();
    T* y = args.y_ND.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.y_ND), forward_rows<T, kWidth>, shape_of<kWidth>(N, D), x, w, args.eps,
                  D, y, args.r_N.data<Wide<T>>());
    };
    gpu::dispatch_width<T>(D, launch, x, w, y);
  });
}

/// How the rows are cut into partial sums of dw.
struct Partials {
  std::int64_t rows;   // of a sum
  std::int64_t count;  // of sums
  explicit Partials(std::int64_t N)
      : rows(std::max<std::int64_t>(1, gpu::ceil_div(N, kMostPartials))), count(gpu::ceil_div(N, rows)) {}
};

void backward_cuda(const RmsNorm::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  const cudaStream_t stream = gpu::stream_of(args.x_ND);
  const Partials partials(N);
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() {
    Wide<T>* const partial = args.dw_D ? workspace.take<Wide<T>>(partials.count * D) : nullptr;
    const Backward<T> all{args.x_ND.data<const T>(),
                          args.w_D.data<const T>(),
                          args.dy_ND.data<const T>(),
                          args.r_N.data<const Wide<T>>(),
                          N,
                          D,
                          partials.rows,
                          static_cast<Wide<T>>(args.dx_ND.beta),
                          args.dx_ND ? args.dx_ND.dst.data<T>() : nullptr,
                          partial};
    const auto launch = [&]<int kWidth>() {
      gpu::launch(stream, backward_rows<T, kWidth>, shape_of<kWidth>(partials.count, D), all);
    };
    gpu::dispatch_width<T>(D, launch, all.x, all.w, all.dy, all.dx, all.partial);
    if (args.dw_D)
      gpu::sum_columns(stream, partial, partials.count, D, args.dw_D.beta, args.dw_D.dst.data<Wide<T>>());
  });
}

std::int64_t backward_workspace(const RmsNorm::BackwardArgs& args, int /*threads*/) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  return args.dw_D ? workspace_bytes({{Partials(N).count * D, wide_of(args.x_ND.dtype())}}) : 0;
}

const gpu::Kernels kernels([] {
  RmsNorm::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  RmsNorm::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
