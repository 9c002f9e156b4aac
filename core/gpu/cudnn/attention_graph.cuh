// The formulas of core/ops/attention.hpp as cuDNN graphs, on its layouts: the fused [q | k | v] matrix, log
// sums by token, and first keys. cuDNN recognises these graphs and has fused kernels for them.
#pragma once
#include "core/gpu/cudnn/graph.cuh"

namespace granule::gpu::dnn {

/// What the graphs of an attention depend on. It is the key under which plans are kept.
struct AttentionShape {
  std::int64_t batch, seq, heads, kv_heads, qk_dim, v_dim;
  bool masked;  ///< whether scores are added a mask

  friend auto operator<=>(const AttentionShape&, const AttentionShape&) = default;
  /// Elements from one row of the mask to the next, so that each begins where 16 bytes can be read.
  [[nodiscard]] std::int64_t mask_pitch() const { return (seq + 7) / 8 * 8; }
  [[nodiscard]] std::int64_t width() const { return (heads + kv_heads) * qk_dim + kv_heads * v_dim; }
};

/// The ids of what a graph reads and writes. All are bf16 but the log sums and the dots, which are f32, and
/// the last three, which are numbers.
enum AttentionId : std::int64_t {
  kQ = 1,
  kK,
  kV,
  kY,
  kLogSum,
  kMask,  ///< [batch, seq, mask_pitch()], added to the scores of every head
  kDy,
  kDot,  ///< scratch of backward: [batch, heads, seq] of ⟨y, dy⟩
  kDq,
  kDk,
  kDv,
  kScale,
  kHidden,  ///< the score of a key that a query does not see
  kOne
};

/// Y and the log sums from Q, K and V.
void add_forward(Graph& graph, const AttentionShape& shape);
/// dQ, dK and dV from Q, K, V, Y, the log sums and dY. dQ is one product, and no sum that several blocks of
/// threads add to, so that it may repeat.
void add_backward(Graph& graph, const AttentionShape& shape);

}  // namespace granule::gpu::dnn
