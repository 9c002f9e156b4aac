// The experts as products of their rows. The SwiGLU runs over the rows of all experts at once.
#include "core/gpu/swiglu.cuh"
#include "moe/ops/expert_ffn.hpp"
#include "moe/ops/expert_products.cuh"

namespace granule {
namespace {

using ForwardArgs = ExpertFfn::ForwardArgs;
using BackwardArgs = ExpertFfn::BackwardArgs;

/// The rows of one expert.
struct ExpertRows {
  std::int64_t expert, begin, count;
};

/// Calls body(rows) for every expert, with and without rows.
template <class Body>
void for_each_expert(std::span<const std::int64_t> offset, const Body& body) {
  for (std::size_t e = 0; e + 1 < offset.size(); ++e)
    body(ExpertRows{static_cast<std::int64_t>(e), offset[e], offset[e + 1] - offset[e]});
}

/// A product of each expert's rows.
template <class T, class Product>
std::vector<gpu::ExpertProduct<T>> of_experts(std::span<const std::int64_t> offset, const Product& product) {
  std::vector<gpu::ExpertProduct<T>> products;
  for_each_expert(offset, [&](const ExpertRows& rows) { products.push_back(product(rows)); });
  return products;
}

template <class T>
void forward(const ForwardArgs& args, Workspace& workspace) {
  const std::int64_t R = args.x_RD.shape()[0], E = args.w2_EDF.shape()[0], D = args.w2_EDF.shape()[1],
                     F = args.w2_EDF.shape()[2];
  gpu::Runtime& runtime = gpu::runtime_of(args.y_RD);
  const T *const x = args.x_RD.data<const T>(), *const w13 = args.w13_EGD.data<const T>(),
                 *const w2 = args.w2_EDF.data<const T>();
  T *const h = args.h_RG.data<T>(), *const y = args.y_RD.data<T>(), *const a = workspace.take<T>(R * F);
  auto* const addresses = workspace.take<std::int64_t>(gpu::addresses_of(E).elements);
  const auto first = [&](const ExpertRows& rows) -> gpu::ExpertProduct<T> {
    return {rows.count,
            2 * F,
            D,
            {x + rows.begin * D, D},
            {w13 + rows.expert * 2 * F * D, D, Transpose::yes},
            {h + rows.begin * 2 * F, 2 * F}};
  };
  const auto second = [&](const ExpertRows& rows) -> gpu::ExpertProduct<T> {
    return {rows.count,
            D,
            F,
            {a + rows.begin * F, F},
            {w2 + rows.expert * D * F, F, Transpose::yes},
            {y + rows.begin * D, D}};
  };
  gpu::multiply(runtime, of_experts<T>(args.offset_E1, first), addresses);
  gpu::swiglu_rows<T>(runtime.stream(), h, R, F, a);
  gpu::multiply(runtime, of_experts<T>(args.offset_E1, second), addresses);
}

void forward_cuda(const ForwardArgs& args, Workspace& workspace) {
  dispatch_storage(args.x_RD.dtype(), [&]<class T>() { forward<T>(args, workspace); });
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  return workspace_bytes({{args.x_RD.shape()[0] * args.w2_EDF.shape()[2], args.x_RD.dtype()},
                          gpu::addresses_of(args.w2_EDF.shape()[0])});
}

/// dw_e[out, in] = Σ_r left_rᵀ right_r over each expert's rows. It is never one call, because cuBLAS has no
/// grouped products of bf16 into float32.
template <class T>
void weight_gradient(gpu::Runtime& runtime, const T* left_RO, const T* right_RI,
                     std::span<const std::int64_t> offset, const Grad& dw_EOI) {
  if (!dw_EOI) return;
  const std::int64_t out = dw_EOI.dst.shape()[1], in = dw_EOI.dst.shape()[2];
  Wide<T>* const dw = dw_EOI.dst.data<Wide<T>>();
  gpu::submit_products(runtime, std::ssize(offset) - 1, [&](gpu::Lane& lane, std::int64_t e) {
    const std::int64_t begin = offset[static_cast<std::size_t>(e)],
                       end = offset[static_cast<std::size_t>(e) + 1];
    gpu::gemm<T, Wide<T>>(lane, out, in, end - begin, {left_RO + begin * out, out, Transpose::yes},
                          {right_RI + begin * in, in}, {dw + e * out * in, in, dw_EOI.beta});
  });
}

template <class T>
void backward(const BackwardArgs& args, Workspace& workspace) {
  const std::int64_t R = args.dy_RD.shape()[0], E = args.w2_EDF.shape()[0], D = args.w2_EDF.shape()[1],
                     F = args.w2_EDF.shape()[2];
  gpu::Runtime& runtime = gpu::runtime_of(args.dy_RD);
  const T *const h = args.h_RG.data<const T>(), *const w13 = args.w13_EGD.data<const T>(),
                 *const w2 = args.w2_EDF.data<const T>(), *const dy = args.dy_RD.data<const T>();
  T *const a = workspace.take<T>(R * F), *const da = workspace.take<T>(R * F),
           *const dh = workspace.take<T>(R * 2 * F);
  auto* const addresses = workspace.take<std::int64_t>(gpu::addresses_of(E).elements);
  const auto of_a = [&](const ExpertRows& rows) -> gpu::ExpertProduct<T> {
    return {
        rows.count, F, D, {dy + rows.begin * D, D}, {w2 + rows.expert * D * F, F}, {da + rows.begin * F, F}};
  };
  gpu::multiply(runtime, of_experts<T>(args.offset_E1, of_a), addresses);
  gpu::swiglu_rows<T>(runtime.stream(), h, R, F, a);
  gpu::swiglu_rows_backward<T>(runtime.stream(), h, da, R, F, 0.0, dh);
  if (args.dx_RD) {
    T* const dx = args.dx_RD.dst.data<T>();
    const auto of_x = [&](const ExpertRows& rows) -> gpu::ExpertProduct<T> {
      return {rows.count,
              D,
              2 * F,
              {dh + rows.begin * 2 * F, 2 * F},
              {w13 + rows.expert * 2 * F * D, D},
              {dx + rows.begin * D, D, args.dx_RD.beta}};
    };
    gpu::multiply(runtime, of_experts<T>(args.offset_E1, of_x), addresses);
  }
  weight_gradient<T>(runtime, dh, args.x_RD.data<const T>(), args.offset_E1, args.dw13_EGD);
  weight_gradient<T>(runtime, dy, a, args.offset_E1, args.dw2_EDF);
}

void backward_cuda(const BackwardArgs& args, Workspace& workspace) {
  dispatch_storage(args.dy_RD.dtype(), [&]<class T>() { backward<T>(args, workspace); });
}
std::int64_t backward_workspace(const BackwardArgs& args, int /*threads*/) {
  const std::int64_t elements = args.dy_RD.shape()[0] * args.w2_EDF.shape()[2];
  const DType dtype = args.dy_RD.dtype();
  return workspace_bytes({{elements, dtype},
                          {elements, dtype},
                          {2 * elements, dtype},
                          gpu::addresses_of(args.w2_EDF.shape()[0])});
}

const gpu::Kernels kernels([] {
  ExpertFfn::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  ExpertFfn::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
