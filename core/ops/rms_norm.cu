#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/rms_norm.hpp"

namespace granule {
namespace {

using gpu::Pack;

// A thread keeps this many packs of a row in registers, so each element crosses the memory's bus once. Sums
// are those of the dtype within a thread, and float64 across the block.
constexpr int kPacks = 8;
constexpr unsigned kMostThreads = 256;
// With more partial sums the second stage would read more than it saves. It depends on N alone.
constexpr std::int64_t kMostPartials = 256;

/// The packs of a row that belong to this thread: numbers threadIdx.x + k · blockDim.x.
template <class T, int kWidth>
struct RowPart {
  Pack<T, kWidth> pack[kPacks];

  __device__ void load(const T* __restrict__ row, std::int64_t packs) {
    for (int k = 0; k < kPacks; ++k) {
      const std::int64_t p = threadIdx.x + static_cast<std::int64_t>(k) * blockDim.x;
      pack[k] = p < packs ? gpu::load<kWidth>(row, p) : Pack<T, kWidth>{};
    }
  }
  __device__ void store(T* row, std::int64_t packs) const {
    for (int k = 0; k < kPacks; ++k) {
      const std::int64_t p = threadIdx.x + static_cast<std::int64_t>(k) * blockDim.x;
      if (p < packs) gpu::store(row, p, pack[k]);
    }
  }
};

/// There is one block for each row.
template <class T, int kWidth>
__global__ void __launch_bounds__(kMostThreads)
    forward_rows(const T* __restrict__ x, const T* __restrict__ w, double eps, std::int64_t D,
                 T* __restrict__ y, T* __restrict__ r) {
  const std::int64_t packs = D / kWidth, row = blockIdx.x;
  RowPart<T, kWidth> u, v;
  u.load(x + row * D, packs);
  v.load(w, packs);
  T square = T(0);
  for (const auto& pack : u.pack)
    for (const T value : pack.value) square += value * value;
  const double mean = gpu::over_block(static_cast<double>(square)) / static_cast<double>(D);
  const T scale = static_cast<T>(1.0 / sqrt(mean + eps));
  if (threadIdx.x == 0) r[row] = scale;
  for (int k = 0; k < kPacks; ++k)
    for (int i = 0; i < kWidth; ++i) u.pack[k].value[i] = v.pack[k].value[i] * (u.pack[k].value[i] * scale);
  u.store(y + row * D, packs);
}

template <class T>
struct Backward {
  const T *x, *r, *w, *dy;
  std::int64_t N, D, rows;
  T beta;
  T *dx, *partial;  // nullptr: not wanted
};

/// A block has `rows` rows, one after the other. It writes their dx, and the sum of their parts of dw.
template <class T, int kWidth>
__global__ void __launch_bounds__(kMostThreads) backward_rows(Backward<T> a) {
  const std::int64_t packs = a.D / kWidth, begin = blockIdx.x * a.rows;
  const std::int64_t end = begin + a.rows < a.N ? begin + a.rows : a.N;
  RowPart<T, kWidth> w, sum{};
  w.load(a.w, packs);
  for (std::int64_t row = begin; row < end; ++row) {
    RowPart<T, kWidth> u, g;
    u.load(a.x + row * a.D, packs);
    g.load(a.dy + row * a.D, packs);
    T dot = T(0);
    for (int k = 0; k < kPacks; ++k)
      for (int i = 0; i < kWidth; ++i) dot += w.pack[k].value[i] * g.pack[k].value[i] * u.pack[k].value[i];
    const T scale = a.r[row];
    const double wide = static_cast<double>(scale), all = gpu::over_block(static_cast<double>(dot));
    const T c = static_cast<T>(wide * wide * wide * all / static_cast<double>(a.D));
    for (int k = 0; k < kPacks; ++k) {
      for (int i = 0; i < kWidth; ++i) {
        const T value = u.pack[k].value[i], slope = g.pack[k].value[i];
        sum.pack[k].value[i] += slope * (value * scale);
        u.pack[k].value[i] = scale * (w.pack[k].value[i] * slope) - c * value;
      }
    }
    if (a.dx == nullptr) continue;
    if (a.beta != T(0)) {
      g.load(a.dx + row * a.D, packs);
      for (int k = 0; k < kPacks; ++k)
        for (int i = 0; i < kWidth; ++i) u.pack[k].value[i] += a.beta * g.pack[k].value[i];
    }
    u.store(a.dx + row * a.D, packs);
  }
  if (a.partial != nullptr) sum.store(a.partial + blockIdx.x * a.D, packs);
}

/// Throws for rows that no block can keep in registers.
template <int kWidth>
gpu::LaunchShape shape_of(std::int64_t blocks, std::int64_t D) {
  constexpr std::int64_t kMost = std::int64_t{kMostThreads} * kPacks * kWidth;
  GRANULE_CHECK(D <= kMost, "rms_norm: rows of {} elements, CUDA takes {} of this alignment", D, kMost);
  return {blocks, 1, gpu::threads_for_row(gpu::ceil_div(D / kWidth, kPacks), kMostThreads)};
}

void forward_cuda(const RmsNorm::ForwardArgs& args) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  dispatch_float(args.x_ND.dtype(), [&]<class T>() {
    const T *x = args.x_ND.data<const T>(), *w = args.w_D.data<const T>();
    T *y = args.y_ND.data<T>(), *r = args.r_N.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.y_ND), forward_rows<T, kWidth>, shape_of<kWidth>(N, D), x, w, args.eps,
                  D, y, r);
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
  dispatch_float(args.x_ND.dtype(), [&]<class T>() {
    T* const partial = args.dw_D ? workspace.take<T>(partials.count * D) : nullptr;
    const Backward<T> all{args.x_ND.data<const T>(),
                          args.r_N.data<const T>(),
                          args.w_D.data<const T>(),
                          args.dy_ND.data<const T>(),
                          N,
                          D,
                          partials.rows,
                          static_cast<T>(args.dx_ND.beta),
                          args.dx_ND ? args.dx_ND.dst.data<T>() : nullptr,
                          partial};
    const auto launch = [&]<int kWidth>() {
      gpu::launch(stream, backward_rows<T, kWidth>, shape_of<kWidth>(partials.count, D), all);
    };
    gpu::dispatch_width<T>(D, launch, all.x, all.w, all.dy, all.dx, all.partial);
    if (args.dw_D)
      gpu::sum_columns(stream, partial, partials.count, D, args.dw_D.beta, args.dw_D.dst.data<T>());
  });
}

std::int64_t backward_workspace(const RmsNorm::BackwardArgs& args, int /*threads*/) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  return args.dw_D ? workspace_bytes({{Partials(N).count * D, args.x_ND.dtype()}}) : 0;
}

const gpu::Kernels kernels([] {
  RmsNorm::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  RmsNorm::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
