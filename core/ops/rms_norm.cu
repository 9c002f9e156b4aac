#include "core/gpu.hpp"
#include "core/kernels/reduce.cuh"
#include "core/kernels/vector.cuh"
#include "core/ops/rms_norm.hpp"

namespace granule {
namespace {

using gpu::Pack;

// With more partial sums, the few threads of the second stage would have too much to do.
constexpr std::int64_t kMostPartials = 256;

/// There is one block for each row.
template <class T, int kWidth>
__global__ void forward_rows(const T* x, const T* w, double eps, std::int64_t D, T* y, T* r) {
  const std::int64_t packs = D / kWidth, row = blockIdx.x;
  x += row * D;
  y += row * D;
  double square = 0.0;
  for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    const Pack<T, kWidth> u = gpu::load<kWidth>(x, p);
    for (int i = 0; i < kWidth; ++i)
      square += static_cast<double>(u.value[i]) * static_cast<double>(u.value[i]);
  }
  const T scale = static_cast<T>(1.0 / sqrt(gpu::block_sum(square) / static_cast<double>(D) + eps));
  if (threadIdx.x == 0) r[row] = scale;
  for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    Pack<T, kWidth> u = gpu::load<kWidth>(x, p);
    const Pack<T, kWidth> v = gpu::load<kWidth>(w, p);
    for (int i = 0; i < kWidth; ++i) u.value[i] = v.value[i] * (u.value[i] * scale);
    gpu::store(y, p, u);
  }
}

/// There is one block for each row.
template <class T, int kWidth>
__global__ void input_gradient_rows(const T* x, const T* r, const T* w, const T* dy, std::int64_t D, T beta,
                                    T* dx) {
  const std::int64_t packs = D / kWidth, row = blockIdx.x;
  x += row * D;
  dy += row * D;
  dx += row * D;
  double dot = 0.0;
  for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    const Pack<T, kWidth> u = gpu::load<kWidth>(x, p), v = gpu::load<kWidth>(w, p),
                          g = gpu::load<kWidth>(dy, p);
    for (int i = 0; i < kWidth; ++i) {
      dot +=
          static_cast<double>(v.value[i]) * static_cast<double>(g.value[i]) * static_cast<double>(u.value[i]);
    }
  }
  const T scale = r[row];
  const double wide = static_cast<double>(scale);
  const T c = static_cast<T>(wide * wide * wide * gpu::block_sum(dot) / static_cast<double>(D));
  for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    const Pack<T, kWidth> u = gpu::load<kWidth>(x, p), v = gpu::load<kWidth>(w, p),
                          g = gpu::load<kWidth>(dy, p);
    Pack<T, kWidth> old{};
    if (beta != T(0)) old = gpu::load<kWidth>(dx, p);
    for (int i = 0; i < kWidth; ++i) {
      old.value[i] = beta * old.value[i] + (scale * (v.value[i] * g.value[i]) - c * u.value[i]);
    }
    gpu::store(dx, p, old);
  }
}

/// Block (x, y) sums the y-th group of `rows` rows for its columns. Each thread has one pack of columns.
template <class T, int kWidth>
__global__ void weight_gradient_partials(const T* x, const T* r, const T* dy, std::int64_t N, std::int64_t D,
                                         std::int64_t rows, T* partial) {
  const std::int64_t p = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (p >= D / kWidth) return;
  const std::int64_t begin = blockIdx.y * rows, end = begin + rows < N ? begin + rows : N;
  Pack<T, kWidth> sum{};
  for (std::int64_t row = begin; row < end; ++row) {
    const Pack<T, kWidth> u = gpu::load<kWidth>(x + row * D, p), g = gpu::load<kWidth>(dy + row * D, p);
    for (int i = 0; i < kWidth; ++i) sum.value[i] += g.value[i] * (u.value[i] * r[row]);
  }
  gpu::store(partial + blockIdx.y * D, p, sum);
}

/// There is one thread for each column.
template <class T>
__global__ void sum_partials(const T* partial, std::int64_t partials, std::int64_t D, T beta, T* dw) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= D) return;
  T sum = T(0);
  for (std::int64_t i = 0; i < partials; ++i) sum += partial[i * D + column];
  dw[column] = beta == T(0) ? sum : beta * dw[column] + sum;
}

std::int64_t blocks_for(std::int64_t work, std::int64_t threads) {
  return (work + threads - 1) / threads;
}

void forward_cuda(const RmsNorm::ForwardArgs& args) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  dispatch_float(args.x_ND.dtype(), [&]<class T>() {
    const T *x = args.x_ND.data<const T>(), *w = args.w_D.data<const T>();
    T *y = args.y_ND.data<T>(), *r = args.r_N.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(forward_rows<T, kWidth>, {N}, x, w, args.eps, D, y, r);
    };
    gpu::dispatch_width<T>(D, launch, x, w, y);
  });
}

/// How the rows are cut into partial sums of dw.
struct Partials {
  std::int64_t rows;   // of a sum
  std::int64_t count;  // of sums
  explicit Partials(std::int64_t N)
      : rows(std::max(RmsNorm::kRows, blocks_for(N, kMostPartials))), count(blocks_for(N, rows)) {}
};

template <class T>
void weight_gradient(const RmsNorm::BackwardArgs& args, T* partial) {
  constexpr unsigned kThreads = 128;
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  const Partials partials(N);
  const T *x = args.x_ND.data<const T>(), *r = args.r_N.data<const T>(), *dy = args.dy_ND.data<const T>();
  T* dw = args.dw_D.dst.data<T>();
  const auto launch = [&]<int kWidth>() {
    gpu::launch(weight_gradient_partials<T, kWidth>,
                {blocks_for(D / kWidth, kThreads), partials.count, kThreads}, x, r, dy, N, D, partials.rows,
                partial);
  };
  gpu::dispatch_width<T>(D, launch, x, dy, partial);
  gpu::launch(sum_partials<T>, {blocks_for(D, kThreads), 1, kThreads}, partial, partials.count, D,
              args.dw_D.beta, dw);
}

void backward_cuda(const RmsNorm::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1];
  dispatch_float(args.x_ND.dtype(), [&]<class T>() {
    const T *x = args.x_ND.data<const T>(), *r = args.r_N.data<const T>(), *w = args.w_D.data<const T>(),
            *dy = args.dy_ND.data<const T>();
    if (args.dx_ND) {
      T* dx = args.dx_ND.dst.data<T>();
      const auto launch = [&]<int kWidth>() {
        gpu::launch(input_gradient_rows<T, kWidth>, {N}, x, r, w, dy, D, args.dx_ND.beta, dx);
      };
      gpu::dispatch_width<T>(D, launch, x, w, dy, dx);
    }
    if (args.dw_D) weight_gradient(args, workspace.take<T>(Partials(N).count * D));
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
