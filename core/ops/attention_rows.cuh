// What attention computes between its products: rows of scores, and their gradients.
#pragma once
#include "core/gpu/bf16.cuh"
#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/workspace.hpp"

namespace granule::attention {

/// What the kernels between the products know of a block: query i of it and head h have the row h · queries +
/// i.
struct Rows {
  std::int64_t first, queries, keys;  // the first query in its sequence
  std::int64_t row;                   // of the first query among all tokens
  std::int64_t heads, head, group;    // the head of key-value head h is head + h · group
  std::int64_t v_dim;
  double scale;
  const std::int32_t* first_key;  // nullptr: 0
};

/// The keys [from, to) that the query of this block of threads sees.
struct Visible {
  std::int64_t from, to;
  __device__ Visible(const Rows& b, std::int64_t i, const gpu::Fault& fault)
      : from(b.first_key == nullptr ? 0 : b.first_key[b.row + i]), to(b.first + i + 1) {
    if (from >= 0 && from < to) return;
    if (threadIdx.x == 0) fault.report(to - 1, from);
    from = 0;
  }
};

/// A block's scores or their gradients: what a product writes, and beside it what the next products read.
/// Both are one matrix, except in bf16.
template <class T>
struct Scores {
  Wide<T>* sums;
  T* rounded;

  Scores(std::int64_t elements, Workspace& workspace) : sums(workspace.take<Wide<T>>(elements)) {
    if constexpr (std::is_same_v<T, Wide<T>>) {
      rounded = sums;
    } else {
      rounded = workspace.take<T>(elements);
    }
  }
};

/// There is one block of threads for each row of scores. Hidden keys get 0.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    softmax_rows(Rows b, gpu::Fault fault, Scores<T> scores, Wide<T>* log_sum) {
  using W = Wide<T>;
  const std::int64_t i = blockIdx.x, h = blockIdx.y, start = (h * b.queries + i) * b.keys;
  const W* const row = scores.sums + start;
  T* const p = scores.rounded + start;
  const Visible seen(b, i, fault);
  const W scale = static_cast<W>(b.scale);
  W most = gpu::minus_infinity<W>();
  for (std::int64_t k = seen.from + threadIdx.x; k < seen.to; k += blockDim.x)
    most = gpu::larger(most, row[k]);
  most = gpu::over_block(most, gpu::minus_infinity<W>(), gpu::Maximum{}) * scale;
  W sum = W(0);
  for (std::int64_t k = seen.from + threadIdx.x; k < seen.to; k += blockDim.x)
    sum += gpu::exp_of(row[k] * scale - most);
  const double all = gpu::over_block(static_cast<double>(sum));
  const W inverse = static_cast<W>(1.0 / all);
  for (std::int64_t k = threadIdx.x; k < b.keys; k += blockDim.x) {
    const bool visible = k >= seen.from && k < seen.to;
    p[k] = gpu::rounded<T>(visible ? gpu::exp_of(row[k] * scale - most) * inverse : W(0));
  }
  if (log_sum == nullptr || threadIdx.x != 0) return;
  log_sum[(b.row + i) * b.heads + b.head + h * b.group] =
      static_cast<W>(static_cast<double>(most) + log(all));
}

/// Turns scores into P, and dP into dS = scale · P ∘ (dP − ⟨y, dy⟩).
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    score_gradients(Rows b, gpu::Fault fault, const T* __restrict__ y, const T* __restrict__ dy,
                    const Wide<T>* __restrict__ log_sum, Scores<T> p, Scores<T> dp) {
  using W = Wide<T>;
  const std::int64_t i = blockIdx.x, h = blockIdx.y, head = (b.row + i) * b.heads + b.head + h * b.group;
  W shift = W(0);
  for (std::int64_t c = threadIdx.x; c < b.v_dim; c += blockDim.x)
    shift += gpu::wide(y[head * b.v_dim + c]) * gpu::wide(dy[head * b.v_dim + c]);
  shift = gpu::over_block(shift);
  const Visible seen(b, i, fault);
  const W scale = static_cast<W>(b.scale), sum = log_sum[head];
  const std::int64_t row = (h * b.queries + i) * b.keys;
  for (std::int64_t k = threadIdx.x; k < b.keys; k += blockDim.x) {
    const bool visible = k >= seen.from && k < seen.to;
    const W weight = visible ? gpu::exp_of(p.sums[row + k] * scale - sum) : W(0);
    const W gradient = visible ? scale * weight * (dp.sums[row + k] - shift) : W(0);
    p.rounded[row + k] = gpu::rounded<T>(weight);
    dp.rounded[row + k] = gpu::rounded<T>(gradient);
  }
}

/// There is one block of threads for each token. Its sums are written to its row of gradients.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    write_sums(const Wide<T>* __restrict__ sums, std::int64_t columns, T* __restrict__ to, std::int64_t pitch,
               Wide<T> beta) {
  const std::int64_t row = blockIdx.x;
  for (std::int64_t c = threadIdx.x; c < columns; c += blockDim.x)
    gpu::write<T>(to + row * pitch + c, sums[row * columns + c], beta);
}

}  // namespace granule::attention
