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

/// Gradients of logits. They take the place of the logits, or are beside them in bf16. Their rows begin at
/// 16 bytes, as fast products want.
template <class T>
struct LogitGradients {
  T* data;  // nullptr: not wanted
  std::int64_t pitch;
};
std::int64_t bf16_pitch(std::int64_t vocabulary) {
  return gpu::ceil_div(vocabulary, 8) * 8;
}

/// There is one block for each row. It turns logits into the loss and its gradient.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    loss_of_rows(const Wide<T>* z, std::int64_t V, const std::int32_t* __restrict__ target, gpu::Fault fault,
                 LogitGradients<T> dz, double* __restrict__ loss) {
  using W = Wide<T>;
  const W* const row = z + static_cast<std::int64_t>(blockIdx.x) * V;
  T* const gradient = dz.data == nullptr ? nullptr : dz.data + blockIdx.x * dz.pitch;
  const std::int32_t wanted = target[blockIdx.x];
  const bool known = wanted >= 0 && wanted < V;
  if (!known) {
    for (std::int64_t v = threadIdx.x; gradient != nullptr && v < V; v += blockDim.x)
      gradient[v] = gpu::rounded<T>(W(0));
    if (threadIdx.x != 0) return;
    loss[blockIdx.x] = 0.0;
    if (wanted != kIgnoreTarget) fault.report(wanted, V);
    return;
  }
  W most = gpu::minus_infinity<W>();
  W sum = W(0);  // of this thread, relative to its own maximum
  for (std::int64_t v = threadIdx.x; v < V; v += blockDim.x) {
    const W value = row[v];
    if (value > most) {
      sum = sum * gpu::exp_of(most - value) + W(1);
      most = value;
    } else {
      sum += gpu::exp_of(value - most);
    }
  }
  const W all_most = gpu::over_block(most, gpu::minus_infinity<W>(), gpu::Maximum{});
  const double part =
      sum == W(0) ? 0.0 : static_cast<double>(sum) * static_cast<double>(gpu::exp_of(most - all_most));
  const double all = gpu::over_block(part);
  const double at_target = static_cast<double>(row[wanted]);
  if (threadIdx.x == 0) loss[blockIdx.x] = log(all) + static_cast<double>(all_most) - at_target;
  if (gradient == nullptr) return;
  __syncthreads();  // everybody has read it
  const W inverse = static_cast<W>(1.0 / all);
  for (std::int64_t v = threadIdx.x; v < V; v += blockDim.x)
    gradient[v] = gpu::rounded<T>(gpu::exp_of(row[v] - all_most) * inverse - (v == wanted ? W(1) : W(0)));
}

struct Total {
  double* y;
  __device__ void operator()(double sum) const { *y = sum; }
};

/// The gradients of `chunk` rows of logits z, if they are wanted.
template <class T>
LogitGradients<T> gradients_beside(const ForwardArgs& args, Wide<T>* z, std::int64_t chunk,
                                   Workspace& workspace) {
  const std::int64_t V = args.w_VD.shape()[0];
  if (!args.dx_ND.defined()) return {nullptr, V};
  if constexpr (std::is_same_v<T, Wide<T>>) {
    return {z, V};
  } else {
    return {workspace.take<T>(chunk * bf16_pitch(V)), bf16_pitch(V)};
  }
}

template <class T>
void forward(const ForwardArgs& args, Workspace& workspace) {
  using W = Wide<T>;
  const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1], V = args.w_VD.shape()[0],
                     chunk = chunk_rows(N, V);
  gpu::Runtime& runtime = gpu::runtime_of(args.y);
  const gpu::Fault fault = GRANULE_FAULT(runtime, "linear_cross_entropy: target {}, the vocabulary has {}");
  W* const z = workspace.take<W>(chunk * V);
  const LogitGradients<T> dz = gradients_beside<T>(args, z, chunk, workspace);
  auto* const loss = workspace.take<double>(N);
  const T *const x = args.x_ND.data<const T>(), *const w = args.w_VD.data<const T>();
  for (std::int64_t first = 0; first < N; first += chunk) {
    const std::int64_t rows = std::min(chunk, N - first);
    gpu::gemm<T, W>(runtime, rows, V, D, {x + first * D, D}, {w, D, Transpose::yes}, {z, V});
    gpu::launch(runtime.stream(), loss_of_rows<T>, {rows, 1, gpu::threads_for_row(V)}, z, V,
                args.target_N.data<const std::int32_t>() + first, fault, dz, loss + first);
    if (dz.data == nullptr) continue;
    gpu::gemm<T, W>(runtime, rows, D, V, {dz.data, dz.pitch}, {w, D}, {args.dx_ND.data<W>() + first * D, D});
    gpu::gemm<T, W>(runtime, V, D, rows, {dz.data, dz.pitch, Transpose::yes}, {x + first * D, D},
                    {args.dw_VD.data<W>(), D, first == 0 ? 0.0 : 1.0});
  }
  gpu::launch(runtime.stream(), gpu::finish_sum<Total>, {1, 1, gpu::threads_for_row(N)}, loss, N,
              Total{args.y.data<double>()});
}

void forward_cuda(const ForwardArgs& args, Workspace& workspace) {
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() { forward<T>(args, workspace); });
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  const std::int64_t N = args.x_ND.shape()[0], V = args.w_VD.shape()[0], chunk = chunk_rows(N, V);
  const DType dtype = args.x_ND.dtype();
  const bool beside = dtype == DType::bf16 && args.dx_ND.defined();
  return workspace_bytes(
      {{chunk * V, wide_of(dtype)}, {beside ? chunk * bf16_pitch(V) : 0, dtype}, {N, DType::f64}});
}

template <class T>
struct Scaled {
  const double* factor;
  __device__ T operator()(T value) const { return static_cast<T>(*factor) * value; }
};

void backward_cuda(const BackwardArgs& args) {
  const auto* const dy = args.dy.data<const double>();
  if (args.dx_ND) {
    dispatch_storage(args.dx_ND.dst.dtype(), [&]<class T>() {
      gpu::map_tensors<T, Wide<T>>(args.dx_ND, Scaled<Wide<T>>{dy}, args.saved_dx_ND);
    });
  }
  if (args.dw_VD) {
    dispatch_float(args.dw_VD.dst.dtype(),
                   [&]<class T>() { gpu::map_tensors<T>(args.dw_VD, Scaled<T>{dy}, args.saved_dw_VD); });
  }
}

const gpu::Kernels kernels([] {
  LinearCrossEntropy::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  LinearCrossEntropy::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
