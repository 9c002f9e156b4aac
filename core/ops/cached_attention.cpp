#include "core/ops/cached_attention.hpp"

#include <algorithm>

#include "core/kernels/wide_elements.hpp"
#include "core/ops/attention_blocks.hpp"

namespace granule {

using namespace attention;

namespace {

constexpr std::int64_t kQueries = 32;  // whose scores a thread holds at once

/// Appends the new tokens' keys and values to those of the cache.
template <class T>
void append_to_cache(const CachedAttentionArgs& args, const T* qkv) {
  const Attention& a = args.attention;
  const std::int64_t key_width = a.kv_heads * a.qk_dim, value_width = a.kv_heads * a.v_dim;
  T *const keys = args.keys.data<T>(), *const values = args.values.data<T>();
  for (std::int64_t i = 0; i < a.seq; ++i) {
    const T* const key = qkv + i * a.width() + a.heads * a.qk_dim;
    std::copy_n(key, key_width, keys + (args.past + i) * key_width);
    std::copy_n(key + key_width, value_width, values + (args.past + i) * value_width);
  }
}

void cached_cpu(const CachedAttentionArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  const std::int64_t total = args.past + a.seq;
  dispatch_storage(args.y.dtype(), [&]<class T>() {
    using W = Wide<T>;
    const W* const qkv = wide_elements<T>(args.qkv, workspace);
    const WideResult<T> y({args.y, 0.0}, workspace);
    append_to_cache<W>(args, qkv);
    ThreadPool& pool = args.y.context().pool();
    const std::int64_t most = std::min(kQueries, a.seq), blocks = (a.seq + kQueries - 1) / kQueries;
    const std::int64_t bytes = ForwardScratch<W>(a, most, total, nullptr).bytes;
    std::byte* const scratch = workspace.take<std::byte>(pool.size() * bytes);
    pool.run(a.heads * blocks, [&](std::int64_t task) {
      // Later blocks see more keys, so they go first.
      const std::int64_t head = task % a.heads, first = (blocks - 1 - task / a.heads) * kQueries,
                         rows = std::min(kQueries, a.seq - first), kv = head / (a.heads / a.kv_heads);
      const AttentionHead<W> h{qkv + head * a.qk_dim,
                               args.keys.data<const W>() + kv * a.qk_dim,
                               args.values.data<const W>() + kv * a.v_dim,
                               a.width(),
                               a.kv_heads * a.qk_dim,
                               a.kv_heads * a.v_dim};
      const QueryBlock b(args.past + first, rows, nullptr);
      const ForwardScratch<W> own(a, rows, b.keys, scratch + ThreadPool::thread_index() * bytes);
      forward_block<W>(a, h, b, h.q + first * h.q_pitch, own,
                       y.elements() + first * a.heads * a.v_dim + head * a.v_dim, nullptr);
    });
    y.finish();
  });
}
std::int64_t cached_workspace(const CachedAttentionArgs& args, int threads) {
  const Attention& a = args.attention;
  const std::int64_t total = args.past + a.seq;
  const std::int64_t scratch = dispatch_float(wide_of(args.y.dtype()), [&]<class W>() {
    return ForwardScratch<W>(a, std::min(kQueries, a.seq), total, nullptr).bytes;
  });
  return workspace_bytes({wide_part(args.qkv), wide_part(args.y), {threads * scratch, DType::u8}});
}

}  // namespace

constinit KernelSlot<CachedAttentionArgs> cached_attention_kernel{"attention with a cache", cached_cpu,
                                                                  cached_workspace};

Tensor attend_with_cache(const Attention& attention, const Tensor& qkv_NW, KvCache& cache) {
  check_qkv(attention, qkv_NW);
  const Attention& a = attention;
  const std::int64_t total = cache.length + a.seq;
  GRANULE_CHECK(a.batch == 1, "attention with a cache: {} sequences, one is supported", a.batch);
  GRANULE_CHECK(total <= cache.keys.shape()[0], "attention: {} tokens, the cache holds {}", total,
                cache.keys.shape()[0]);
  Tensor y = qkv_NW.empty_like({a.seq, a.heads * a.v_dim});
  cached_attention_kernel({a, qkv_NW, cache.keys, cache.values, y, cache.length});
  cache.length = total;
  return y;
}

}  // namespace granule
