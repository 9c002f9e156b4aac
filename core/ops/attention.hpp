// Causal softmax attention over a fused [q | k | v] matrix: multi-head, grouped-query or multi-query. It
// computes one block of queries at a time and never holds an S × S matrix.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// For one sequence, and query head j with key-value head ⌊j / (heads / kv_heads)⌋:
///   P = softmax_causal(Q Kᵀ / √qk_dim),   Y = P V
///   dV = Pᵀ dY,   dS = P ∘ (dY Vᵀ − rowsum(dY ∘ Y)) / √qk_dim,   dQ = dS K,   dK = dSᵀ Q
/// There are N = batch · seq tokens, one sequence after the other. A row of qkv_NW has the heads' queries,
/// then the keys, then the values, so W = (heads + kv_heads) · qk_dim + kv_heads · v_dim. The output is y_NO
/// with O = heads · v_dim. Token i of a sequence sees its tokens first_key_i to i. Without first_key_N, these
/// are all tokens up to i. With it (int32, counted from 0 in the sequence), first_key_i is where the token's
/// document begins. Keys that no query of a block sees cost nothing. Backward recomputes P from the saved log
/// of its row sums (Dao et al., FlashAttention, 2022). In bf16, S and its softmax are f32, and P and dS are
/// rounded before their products.
struct Attention {
  std::int64_t batch, seq;
  std::int64_t heads, kv_heads;
  std::int64_t qk_dim, v_dim;

  static constexpr std::string_view kName = "attention";
  struct Saved {
    Tensor qkv, y, log_sum, first_key;  // log_sum is log_sum_NH; first_key_N is undefined without a mask
  };
  /// Throws if first_key_i is not in [0, i].
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& qkv_NW, const Tensor& first_key_N = {}) const;
  void backward(const Saved& saved, const Tensor& dy_NO, const Grad& dqkv_NW) const;

  struct ForwardArgs;
  struct BackwardArgs;
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;

  [[nodiscard]] std::int64_t width() const { return (heads + kv_heads) * qk_dim + kv_heads * v_dim; }
};

/// The kernel checks the first keys. log_sum is undefined if nothing is saved.
struct Attention::ForwardArgs {
  Attention attention;
  Tensor qkv, first_key, y, log_sum;
};
struct Attention::BackwardArgs {
  Attention attention;
  Tensor qkv, y, log_sum, first_key, dy;
  Grad dqkv;
};

}  // namespace granule
