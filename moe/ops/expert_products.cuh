// The products of the experts on a GPU. Each expert has as many rows as tokens chose it, so no two products
// need have the same sizes. The host knows them.
#pragma once
#include <vector>

#include "core/kernels/gemm.cuh"
#include "core/workspace.hpp"

namespace granule::gpu {

/// `loop` asks cuBLAS for one product after the other, and `grouped` for all of them at once. Which is faster
/// depends on the sizes and on the GPU: `granule bench ops` tells. Either repeats its bits.
/// GRANULE_CUDA_EXPERTS chooses one by its name, and without it they are a loop. Throws a user error for
/// another name.
enum class ExpertProducts : std::uint8_t { loop, grouped };
[[nodiscard]] ExpertProducts expert_products();

/// One product of a group, as gemm() describes it. k is not 0.
template <class T>
struct ExpertProduct {
  std::int64_t m, n, k;
  MatrixIn<T> a, b;
  MatrixOut<T> c;
};

/// Where the matrices of a group are, in the workspace of a kernel. It needs no elements for a loop.
[[nodiscard]] WorkspacePart addresses_of(std::int64_t products);

/// All products of a group. `addresses` has what addresses_of() said. T is float, double or bf16.
template <class T>
void multiply(Runtime& runtime, const std::vector<ExpertProduct<T>>& products, std::int64_t* addresses);

}  // namespace granule::gpu
