#include "core/gpu/elementwise.cuh"
#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "core/kernels/gemm.cuh"
#include "core/ops/linear_cross_entropy.hpp"

namespace granule {
namespace {

using ForwardArgs = LinearCrossEntropy::ForwardArgs;
using BackwardArgs = LinearCrossEntropy::BackwardArgs;

/// How many rows of logits are held at once: up to 256 MiB of float32, by the shape alone.
std::int64_t chunk_rows(std::int64_t rows, std::int64_t vocabulary) {
  constexpr std::int64_t kElements = std::int64_t{1} << 26;
  return std::min(rows, std::max<std::int64_t>(kElements / std::max<std::int64_t>(vocabulary, 1), 16));
}

/// There is one block for each row. It turns logits into the loss, and in place into the gradient of that
/// loss.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    loss_of_rows(T* __restrict__ z, std::int64_t V, const std::int32_t* __restrict__ target, gpu::Fault fault,
                 double* __restrict__ loss) {
  T* const row = z + static_cast<std::int64_t>(blockIdx.x) * V;
  const std::int32_t wanted = target[blockIdx.x];
  const bool known = wanted >= 0 && wanted < V;
  if (!known) {
    for (std::int64_t v = threadIdx.x; v < V; v += blockDim.x) row[v] = T(0);
    if (threadIdx.x != 0) return;
    loss[blockIdx.x] = 0.0;
    if (wanted != kIgnoreTarget) fault.report(wanted, V);
    return;
  }
  T most = gpu::minus_infinity<T>();
  T sum = T(0);  // of this thread, relative to its own maximum
  for (std::int64_t v = threadIdx.x; v < V; v += blockDim.x) {
    const T value = row[v];
    if (value > most) {
      sum = sum * gpu::exp_of(most - value) + T(1);
      most = value;
    } else {
      sum += gpu::exp_of(value - most);
    }
  }
  const T all_most = gpu::over_block(most, gpu::minus_infinity<T>(), gpu::Maximum{});
  const double part =
      sum == T(0) ? 0.0 : static_cast<double>(sum) * static_cast<double>(gpu::exp_of(most - all_most));
  const double all = gpu::over_block(part);
  const double at_target = static_cast<double>(row[wanted]);
  if (threadIdx.x == 0) loss[blockIdx.x] = log(all) + static_cast<double>(all_most) - at_target;
  __syncthreads();  // everybody has read it
  const T inverse = static_cast<T>(1.0 / all);
  for (std::int64_t v = threadIdx.x; v < V; v += blockDim.x)
    row[v] = gpu::exp_of(row[v] - all_most) * inverse - (v == wanted ? T(1) : T(0));
}

struct Total {
  double* y;
  __device__ void operator()(double sum) const { *y = sum; }
};

template <class T>
void forward(const ForwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1], V = args.w_VD.shape()[0],
                     chunk = chunk_rows(N, V);
  gpu::Runtime& runtime = gpu::runtime_of(args.y);
  const gpu::Fault fault = GRANULE_FAULT(runtime, "linear_cross_entropy: target {}, the vocabulary has {}");
  T* const z = workspace.take<T>(chunk * V);
  auto* const loss = workspace.take<double>(N);
  const T *const x = args.x_ND.data<const T>(), *const w = args.w_VD.data<const T>();
  for (std::int64_t first = 0; first < N; first += chunk) {
    const std::int64_t rows = std::min(chunk, N - first);
    gpu::gemm<T>(runtime, rows, V, D, {x + first * D, D}, {w, D, Transpose::yes}, {z, V});
    gpu::launch(runtime.stream(), loss_of_rows<T>, {rows, 1, gpu::threads_for_row(V)}, z, V,
                args.target_N.data<const std::int32_t>() + first, fault, loss + first);
    if (!args.dx_ND.defined()) continue;
    gpu::gemm<T>(runtime, rows, D, V, {z, V}, {w, D}, {args.dx_ND.data<T>() + first * D, D});
    gpu::gemm<T>(runtime, V, D, rows, {z, V, Transpose::yes}, {x + first * D, D},
                 {args.dw_VD.data<T>(), D, first == 0 ? 0.0 : 1.0});
  }
  gpu::launch(runtime.stream(), gpu::finish_sum<Total>, {1, 1, gpu::threads_for_row(N)}, loss, N,
              Total{args.y.data<double>()});
}

void forward_cuda(const ForwardArgs& args, Workspace& workspace) {
  dispatch_float(args.x_ND.dtype(), [&]<class T>() { forward<T>(args, workspace); });
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  const std::int64_t N = args.x_ND.shape()[0], V = args.w_VD.shape()[0];
  return workspace_bytes({{chunk_rows(N, V) * V, args.x_ND.dtype()}, {N, DType::f64}});
}

template <class T>
struct Scaled {
  const double* factor;
  __device__ T operator()(T value) const { return static_cast<T>(*factor) * value; }
};

void backward_cuda(const BackwardArgs& args) {
  const auto* const dy = args.dy.data<const double>();
  dispatch_float(args.saved_dx_ND.dtype(), [&]<class T>() {
    if (args.dx_ND) gpu::map_tensors<T>(args.dx_ND, Scaled<T>{dy}, args.saved_dx_ND);
    if (args.dw_VD) gpu::map_tensors<T>(args.dw_VD, Scaled<T>{dy}, args.saved_dw_VD);
  });
}

const gpu::Kernels kernels([] {
  LinearCrossEntropy::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  LinearCrossEntropy::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
