// Causal softmax attention over a fused [q | k | v] matrix, multi-head, grouped-query or multi-query, one
// block of queries at a time: no S × S matrix is ever held.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// Of one sequence and query head j with key-value head ⌊j / (heads / kv_heads)⌋:
///   P = softmax_causal(Q Kᵀ / √qk_dim),   Y = P V
///   dV = Pᵀ dY,   dS = P ∘ (dY Vᵀ − rowsum(dY ∘ Y)) / √qk_dim,   dQ = dS K,   dK = dSᵀ Q
/// N = batch · seq tokens, sequence by sequence. A row of qkv_NW holds the heads' queries, then the keys,
/// then the values: W = (heads + kv_heads) · qk_dim + kv_heads · v_dim. Output y_NO with O = heads · v_dim.
/// Token i of a sequence sees its tokens first_key_i … i: all before it unless first_key_N (int32, from 0,
/// counted in the sequence) says where its own document begins. Keys that no query of a block sees cost
/// nothing.
/// Backward recomputes P from the saved log of its row sums (Dao et al., FlashAttention, 2022).
struct Attention {
  std::int64_t batch, seq;
  std::int64_t heads, kv_heads;
  std::int64_t qk_dim, v_dim;

  static constexpr std::string_view kName = "attention";
  struct Saved {
    Tensor qkv, y, log_sum, first_key;  // log_sum_NH; first_key_N undefined without a mask
  };
  /// Throws where first_key_i is not in [0, i].
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& qkv_NW, const Tensor& first_key_N = {}) const;
  void backward(const Saved& saved, const Tensor& dy_NO, const Grad& dqkv_NW) const;

  /// (attention, qkv, first_key or undefined, y, log_sum or nullptr)
  static KernelSlot<void(const Attention&, const Tensor&, const Tensor&, const Tensor&, const Tensor*)>
      forward_kernel;
  /// (attention, saved, dy, dqkv)
  static KernelSlot<void(const Attention&, const Saved&, const Tensor&, const Grad&)> backward_kernel;

  [[nodiscard]] std::int64_t width() const { return (heads + kv_heads) * qk_dim + kv_heads * v_dim; }
};

/// Keys and values of the tokens seen so far, for generation: one sequence, one layer.
struct KvCache {
  Tensor keys, values;      ///< [capacity, kv_heads · qk_dim], [capacity, kv_heads · v_dim]
  std::int64_t length = 0;  ///< tokens held
};

/// The same attention for `seq` new tokens that follow the cache's (batch must be 1): appends their keys and
/// values, then attends to everything held. Throws when the cache is full.
[[nodiscard]] Tensor attend_with_cache(const Attention& attention, const Tensor& qkv_NW, KvCache& cache);

}  // namespace granule
