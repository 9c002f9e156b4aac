// Sums and maxima over a warp or a block, in an order that depends on its size alone.
#pragma once
#include "core/gpu/launch.cuh"

namespace granule::gpu {

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Maximum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

/// Over all lanes of a warp, returned to each of them.
template <class T, class Combine = Sum>
__device__ T over_warp(T value, Combine combine = {}) {
  for (int step = kWarp / 2; step > 0; step /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}

/// Over all threads of a block, returned to each of them. Every thread must call it, and blocks must have
/// whole warps. `neutral` changes nothing.
template <class T, class Combine = Sum>
__device__ T over_block(T value, T neutral = T(0), Combine combine = {}) {
  GRANULE_SHARED(T[kWarp], of_warp);
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  value = over_warp(value, combine);
  __syncthreads();  // a caller's next call must not overtake this one's readers
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  return over_warp(lane < warps ? of_warp[lane] : neutral, combine);
}

/// Writes finish(Σ value_i) for up to n partial results. It runs as one block.
template <class Finish>
__global__ void __launch_bounds__(kThreads)
    finish_sum(const double* __restrict__ value, std::int64_t n, Finish finish) {
  double sum = 0.0;
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += value[i];
  sum = over_block(sum);
  if (threadIdx.x == 0) finish(sum);
}

/// How many terms one block of sum_terms adds.
inline constexpr std::int64_t kTermsOfBlock = 1 << 13;
[[nodiscard]] inline std::int64_t partial_sums(std::int64_t terms) {
  return ceil_div(terms, kTermsOfBlock);
}

template <class Term>
__global__ void __launch_bounds__(kThreads)
    sum_terms(Term term, std::int64_t n, double* __restrict__ partial) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kTermsOfBlock;
  const std::int64_t end = begin + kTermsOfBlock < n ? begin + kTermsOfBlock : n;
  double sum = 0.0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) sum += term(i);
  sum = over_block(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// finish(Σ term(i)) over i < n in two stages, whose order depends on n alone. `partial` has partial_sums(n)
/// elements.
template <class Term, class Finish>
void sum(cudaStream_t stream, std::int64_t n, double* partial, const Term& term, const Finish& finish) {
  launch(stream, sum_terms<Term>, {partial_sums(n), 1, threads_for_row(n)}, term, n, partial);
  launch(stream, finish_sum<Finish>, {1, 1, threads_for_row(partial_sums(n))}, partial, partial_sums(n),
         finish);
}

/// A block has 32 columns. Its warps add every eighth row each, and then the eight sums in order.
template <class T>
__global__ void __launch_bounds__(kThreads) sum_columns_of(const T* __restrict__ x, std::int64_t rows,
                                                           std::int64_t columns, T beta, T* __restrict__ y) {
  constexpr int kWarps = kThreads / kWarp;
  GRANULE_SHARED(T[kWarps][kWarp], of_warp);
  const int lane = lane_index(), warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kWarp + lane;
  T sum = T(0);
  for (std::int64_t row = warp; column < columns && row < rows; row += kWarps)
    sum += x[row * columns + column];
  of_warp[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= columns) return;
  for (int other = 1; other < kWarps; ++other) sum += of_warp[other][lane];
  y[column] = beta == T(0) ? sum : sum + beta * y[column];
}

/// y_j = Σ_i x_ij + beta y_j, in an order that depends on the number of rows alone.
template <class T>
void sum_columns(cudaStream_t stream, const T* x, std::int64_t rows, std::int64_t columns, double beta,
                 T* y) {
  launch(stream, sum_columns_of<T>, {ceil_div(columns, kWarp)}, x, rows, columns, beta, y);
}

}  // namespace granule::gpu
