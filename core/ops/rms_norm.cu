#include "core/gpu.hpp"
#include "core/kernels/reduce.cuh"
#include "core/kernels/vector.cuh"
#include "core/ops/rms_norm.hpp"

namespace granule {
namespace {

using gpu::Pack;

constexpr std::int64_t kLeastRows = 64;  // rows of one partial sum of dw, as on the CPU
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

void forward_cuda(const Tensor& x_ND, const Tensor& w_D, double eps, const Tensor& y_ND, const Tensor& r_N) {
  const std::int64_t N = x_ND.shape()[0], D = x_ND.shape()[1];
  dispatch_float(x_ND.dtype(), [&]<class T>() {
    const T *x = x_ND.data<const T>(), *w = w_D.data<const T>();
    T *y = y_ND.data<T>(), *r = r_N.data<T>();
    const auto launch = [&]<int kWidth>() { gpu::launch(forward_rows<T, kWidth>, {N}, x, w, eps, D, y, r); };
    gpu::dispatch_width<T>(D, launch, x, w, y);
  });
}

template <class T>
void weight_gradient(const T* x, const T* r, const T* dy, const Tensor& x_ND, const Grad& dw_D) {
  constexpr unsigned kThreads = 128;
  const std::int64_t N = x_ND.shape()[0], D = x_ND.shape()[1];
  const std::int64_t rows = std::max(kLeastRows, blocks_for(N, kMostPartials)),
                     partials = blocks_for(N, rows);
  // It is freed before the kernels run. That is safe: the next user of these bytes runs later on the same
  // stream.
  const Tensor scratch = Tensor::empty(x_ND.context(), {partials, D}, x_ND.dtype(), MemoryCategory::scratch);
  T *partial = scratch.data<T>(), *dw = dw_D.dst.data<T>();
  const auto launch = [&]<int kWidth>() {
    gpu::launch(weight_gradient_partials<T, kWidth>, {blocks_for(D / kWidth, kThreads), partials, kThreads},
                x, r, dy, N, D, rows, partial);
  };
  gpu::dispatch_width<T>(D, launch, x, dy, partial);
  gpu::launch(sum_partials<T>, {blocks_for(D, kThreads), 1, kThreads}, partial, partials, D, dw_D.beta, dw);
}

void backward_cuda(const Tensor& x_ND, const Tensor& r_N, const Tensor& w_D, const Tensor& dy_ND,
                   const Grad& dx_ND, const Grad& dw_D) {
  const std::int64_t N = x_ND.shape()[0], D = x_ND.shape()[1];
  dispatch_float(x_ND.dtype(), [&]<class T>() {
    const T *x = x_ND.data<const T>(), *r = r_N.data<const T>(), *w = w_D.data<const T>(),
            *dy = dy_ND.data<const T>();
    if (dx_ND) {
      T* dx = dx_ND.dst.data<T>();
      const auto launch = [&]<int kWidth>() {
        gpu::launch(input_gradient_rows<T, kWidth>, {N}, x, r, w, dy, D, dx_ND.beta, dx);
      };
      gpu::dispatch_width<T>(D, launch, x, w, dy, dx);
    }
    if (dw_D) weight_gradient(x, r, dy, x_ND, dw_D);
  });
}

const gpu::Kernels kernels([] {
  RmsNorm::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  RmsNorm::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
