// Attention of new tokens to themselves and to those before, whose keys and values are kept.
#pragma once
#include "core/ops/attention.hpp"

namespace granule {

/// Keys and values of the tokens seen so far, for generation: one sequence, one layer.
struct KvCache {
  /// [capacity, kv_heads · qk_dim] and [capacity, kv_heads · v_dim], in the wide type, as they are read
  /// often.
  Tensor keys, values;
  std::int64_t length = 0;  ///< tokens held
};

/// The same attention for `seq` new tokens that follow those of the cache; batch must be 1. Appends their
/// keys and values to the cache, then attends to everything in it. Throws if the cache is full.
[[nodiscard]] Tensor attend_with_cache(const Attention& attention, const Tensor& qkv_NW, KvCache& cache);

/// keys and values are those of the cache, in which `past` tokens are held already.
struct CachedAttentionArgs {
  Attention attention;
  Tensor qkv, keys, values, y;
  std::int64_t past;
};
extern KernelSlot<CachedAttentionArgs> cached_attention_kernel;

}  // namespace granule
