#include "core/ops/attention.hpp"

#include <algorithm>
#include <vector>

#include "core/ops/attention_blocks.hpp"

namespace granule {

using namespace attention;

const std::int32_t* attention::first_keys_of(const Attention& a, const Tensor& first_key,
                                             std::int64_t sequence) {
  return first_key.defined() ? first_key.data<const std::int32_t>() + sequence * a.seq : nullptr;
}

namespace {

void check_first_keys(const Attention& a, const Tensor& first_key) {
  const auto* const keys = first_key.data<const std::int32_t>();
  for (std::int64_t i = 0; i < a.batch * a.seq; ++i) {
    GRANULE_CHECK(keys[i] >= 0 && keys[i] <= i % a.seq, "attention: token {} of a sequence sees from {} on",
                  i % a.seq, keys[i]);
  }
}

/// Elements of Kᵀ and V of one key-value head as they are stored for forward.
template <class T>
std::int64_t stored_elements(const Attention& a) {
  return RightOperand<T>::elements(a.seq, a.qk_dim) + RightOperand<T>::elements(a.v_dim, a.seq);
}

/// Stores Kᵀ and V.
template <class T>
AttentionHead<T> with_stored(const Attention& a, AttentionHead<T> h, T* memory) {
  h.k_transposed = RightOperand<T>::store(a.seq, a.qk_dim, {h.k, h.k_pitch, Transpose::yes}, memory);
  memory += RightOperand<T>::elements(a.seq, a.qk_dim);
  h.v_stored = RightOperand<T>::store(a.v_dim, a.seq, {h.v, h.v_pitch}, memory);
  return h;
}

/// What the threads of forward write to.
template <class T>
struct ForwardMemory {
  // Whether there are so many heads that each is computed by one thread, which alone stores its keys and
  // values. Both ways give the same bits, and with fewer heads some threads would have nothing to do.
  bool whole_heads;
  std::int64_t heads;  // whose keys and values are stored: all of them, or one for each thread
  std::int64_t stored, scratch;

  ForwardMemory(const Attention& a, int threads)
      : whole_heads(a.batch * a.kv_heads >= 16 * threads),
        heads(whole_heads ? threads : a.batch * a.kv_heads),
        stored(stored_elements<T>(a) + (whole_heads ? kGap : 0) / std::int64_t{sizeof(T)}),
        scratch(ForwardScratch<T>(a, kQueries, a.seq, nullptr).bytes + kGap) {}
};

/// Forward of a block of queries of one query head.
template <class T>
void forward_queries(const Attention::ForwardArgs& args, std::int64_t sequence, std::int64_t head,
                     std::int64_t block, AttentionHead<T> h, std::byte* scratch) {
  const Attention& a = args.attention;
  const std::int64_t first = block * kQueries, row = sequence * a.seq + first, out = a.heads * a.v_dim;
  const QueryBlock b(first, std::min(kQueries, a.seq - first), first_keys_of(a, args.first_key, sequence));
  h.q = head_of(a, args.qkv.data<const T>(), sequence, head).q;
  const ForwardScratch<T> own(a, b.rows, b.keys, scratch);
  Wide<T>* const sums =
      args.log_sum.defined() ? args.log_sum.data<Wide<T>>() + row * a.heads + head : nullptr;
  forward_block(a, h, b, h.q + first * h.q_pitch, own, args.y.data<T>() + row * out + head * a.v_dim, sums);
}

/// The workspace has keys and values, and the scores of a block for each thread.
template <class T>
void forward_blocks(const Attention::ForwardArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  ThreadPool& pool = args.qkv.context().pool();
  const std::int64_t blocks = (a.seq + kQueries - 1) / kQueries, group = a.heads / a.kv_heads;
  const ForwardMemory<T> sizes(a, pool.size());
  T* const memory = workspace.take<T>(sizes.heads * sizes.stored);
  std::byte* const all_scratch = workspace.take<std::byte>(pool.size() * sizes.scratch);
  const auto scratch = [&] { return all_scratch + ThreadPool::thread_index() * sizes.scratch; };
  const auto stored = [&](const KeyValueHead& kv, std::int64_t place) {
    const AttentionHead<T> h = head_of(a, args.qkv.data<const T>(), kv.sequence, kv.head * group);
    return with_stored(a, h, memory + place * sizes.stored);
  };
  if (sizes.whole_heads) {
    pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
      const KeyValueHead kv(a, task);
      const AttentionHead<T> h = stored(kv, ThreadPool::thread_index());
      for (std::int64_t head = kv.head * group; head < (kv.head + 1) * group; ++head)
        for (std::int64_t block = 0; block < blocks; ++block)
          forward_queries(args, kv.sequence, head, block, h, scratch());
    });
    return;
  }
  std::vector<AttentionHead<T>> heads(static_cast<std::size_t>(a.batch * a.kv_heads));
  pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
    heads[static_cast<std::size_t>(task)] = stored(KeyValueHead(a, task), task);
  });
  pool.run(a.batch * a.heads * blocks, [&](std::int64_t task) {
    // The blocks of a head follow each other, while its keys and values are in the second level of cache.
    // Later blocks see more keys. They go first, so that the last tasks are short.
    const std::int64_t of_group = task % (group * blocks), index = task / (group * blocks);
    const KeyValueHead kv(a, index);
    forward_queries(args, kv.sequence, kv.head * group + of_group / blocks, blocks - 1 - of_group % blocks,
                    heads[static_cast<std::size_t>(index)], scratch());
  });
}

void forward_cpu(const Attention::ForwardArgs& args, Workspace& workspace) {
  if (args.first_key.defined()) check_first_keys(args.attention, args.first_key);
  dispatch_storage(args.qkv.dtype(), [&]<class T>() { forward_blocks<T>(args, workspace); });
}
std::int64_t forward_workspace(const Attention::ForwardArgs& args, int threads) {
  const Attention& a = args.attention;
  return dispatch_storage(args.qkv.dtype(), [&]<class T>() {
    const ForwardMemory<T> sizes(a, threads);
    return workspace_bytes({{sizes.heads * sizes.stored, dtype_of<T>}, {threads * sizes.scratch, DType::u8}});
  });
}

}  // namespace

constinit KernelSlot<Attention::ForwardArgs> Attention::forward_kernel{"attention", forward_cpu,
                                                                       forward_workspace};
Tensor Attention::forward(Saved* saved, const Tensor& qkv_NW, const Tensor& first_key_N) const {
  check_qkv(*this, qkv_NW);
  GRANULE_CHECK(!first_key_N.defined() || first_key_N.shape() == Shape{batch * seq},
                "attention: {} first keys for {} tokens", first_key_N.shape().str(), batch * seq);
  Tensor y = qkv_NW.empty_like({batch * seq, heads * v_dim});
  Tensor log_sum;
  if (saved != nullptr)
    log_sum = Tensor::empty(qkv_NW.context(), {batch * seq, heads}, wide_of(qkv_NW.dtype()));
  forward_kernel({*this, qkv_NW, first_key_N, y, log_sum});
  if (saved != nullptr) *saved = {qkv_NW, y, log_sum, first_key_N};
  return y;
}

}  // namespace granule
