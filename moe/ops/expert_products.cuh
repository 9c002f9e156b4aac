// The products of the experts on a GPU. Each expert has as many rows as tokens chose it, so no two products
// need have the same sizes. The host knows them.
#pragma once
#include <vector>

#include "core/kernels/gemm.cuh"
#include "core/workspace.hpp"

namespace granule::gpu {

/// `loop` asks cuBLAS for one product after the other, and `streams` for some of them at the same time.
/// `grouped` asks for all in one call where cuBLAS can do it, and is `streams` elsewhere. Each repeats its
/// bits. GRANULE_CUDA_EXPERTS chooses one by its name, and without it they are grouped. On an H200 that was
/// the fastest in short runs with aligned rows (docs/gpu.md). Throws a user error for another name.
enum class ExpertProducts : std::uint8_t { loop, streams, grouped };
[[nodiscard]] ExpertProducts expert_products();

/// One product of a group, as gemm() describes it. k is not 0.
template <class T>
struct ExpertProduct {
  std::int64_t m, n, k;
  MatrixIn<T> a, b;
  MatrixOut<T> c;
};

/// Where the matrices of a group are, in the workspace of a kernel. It needs no elements unless they are
/// grouped.
[[nodiscard]] WorkspacePart addresses_of(std::int64_t products);

/// Calls product(lane, i) for i below `count`, where a product may not need another one's result. They are on
/// several lanes unless they should be a loop.
template <class Product>
void submit_products(Runtime& runtime, std::int64_t count, const Product& product) {
  if (expert_products() != ExpertProducts::loop) return runtime.side_lanes().spread(count, product);
  for (std::int64_t i = 0; i < count; ++i) product(runtime.lane(), i);
}

/// All products of a group. `addresses` has what addresses_of() said. T is float, double or bf16.
template <class T>
void multiply(Runtime& runtime, const std::vector<ExpertProduct<T>>& products, std::int64_t* addresses);

}  // namespace granule::gpu
