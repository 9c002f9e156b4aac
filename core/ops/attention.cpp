#include "core/ops/attention.hpp"

#include <algorithm>
#include <cmath>

#include "core/kernels/dot_rows.hpp"
#include "core/kernels/gemm.hpp"
#include "core/kernels/softmax.hpp"

namespace granule {
namespace {

constexpr std::int64_t kQueries = 32;  // rows of P held at once
// For equal sequences, whole products are equal. The product of one generated token must be fast instead.
constexpr OneRow kOneRow = OneRow::alone;

/// Pointers into the matrices of one sequence and one query head; rows are `pitch` elements apart.
template <class T>
struct Head {
  const T *q, *k, *v;
  std::int64_t q_pitch, k_pitch, v_pitch;
  // Kᵀ and Vᵀ, which are read where scores and their gradients are computed. Products with a matrix that is
  // stored as it is used are a quarter faster than those with a transposed one. nullptr if there is no copy.
  const T *k_transposed = nullptr, *v_transposed = nullptr;
  std::int64_t transposed_pitch = 0;
};

template <class T>
Head<T> head_of(const Attention& a, const T* qkv, std::int64_t sequence, std::int64_t head) {
  const std::int64_t w = a.width(), group = a.heads / a.kv_heads, kv = head / group;
  const T* row = qkv + sequence * a.seq * w;
  return {row + head * a.qk_dim,
          row + (a.heads + kv) * a.qk_dim,
          row + (a.heads + a.kv_heads) * a.qk_dim + kv * a.v_dim,
          w,
          w,
          w};
}

/// out = xᵀ + beta out for x[rows, columns], in squares whose lines of memory stay in the cache.
template <class T>
void transpose(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t pitch, MatrixOut<T> out) {
  constexpr std::int64_t kSide = 16;
  for (std::int64_t row = 0; row < rows; row += kSide) {
    for (std::int64_t column = 0; column < columns; column += kSide) {
      for (std::int64_t c = column; c < std::min(column + kSide, columns); ++c) {
        T* const to = out.data + c * out.pitch;
        for (std::int64_t i = row; i < std::min(row + kSide, rows); ++i)
          to[i] = x[i * pitch + c] + (out.beta == 0.0 ? T(0) : to[i]);
      }
    }
  }
}

template <class T>
T scale_of(const Attention& a) {
  return static_cast<T>(1.0 / std::sqrt(static_cast<double>(a.qk_dim)));
}

/// One block of a sequence's queries, and the keys that at least one of them sees. Queries and keys are
/// counted from the sequence's first key.
struct Block {
  std::int64_t first, rows;       // queries
  const std::int32_t* first_key;  // of every query of the sequence; nullptr means 0
  std::int64_t begin = 0;         // keys [begin, begin + keys)
  std::int64_t keys = 0;

  Block(std::int64_t first_query, std::int64_t queries, const std::int32_t* first_keys)
      : first(first_query), rows(queries), first_key(first_keys), keys(first_query + queries) {
    if (first_key == nullptr || rows == 0) return;
    begin = *std::min_element(first_key + first, first_key + first + rows);
    keys -= begin;
  }
  /// Query i of the block sees its keys [from(i), to(i)).
  [[nodiscard]] std::int64_t from(std::int64_t i) const {
    return first_key == nullptr ? 0 : first_key[first + i] - begin;
  }
  [[nodiscard]] std::int64_t to(std::int64_t i) const { return first + i + 1 - begin; }
  /// Writes zero for the keys that query i does not see.
  template <class T>
  void hide(std::int64_t i, T* row) const {
    std::fill(row, row + from(i), T(0));
    std::fill(row + to(i), row + keys, T(0));
  }
};

/// The keys or values that a block sees, transposed: from a copy, if there is one.
template <class T>
MatrixIn<T> transposed(const T* x, std::int64_t pitch, const T* copy, std::int64_t copy_pitch,
                       const Block& b) {
  if (copy != nullptr) return {copy + b.begin, copy_pitch};
  return {x + b.begin * pitch, pitch, Transpose::yes};
}

/// The block's part of S = Q Kᵀ, unscaled, into s[rows, keys]; q points at its first query.
template <class T>
void scores(const Attention& a, const Head<T>& h, const Block& b, const T* q, T* s) {
  gemm_serial<T>(b.rows, b.keys, a.qk_dim, {q, h.q_pitch},
                 transposed(h.k, h.k_pitch, h.k_transposed, h.transposed_pitch, b), {s, b.keys}, kOneRow);
}

/// q, y and log_sum (or nullptr) point at the block's first query. Rows of y have fewer elements than rows of
/// P, so they and not P are divided by the sums. p has room for these after the block's scores.
template <class T>
void forward_block(const Attention& a, const Head<T>& h, const Block& b, const T* q, T* p, T* y, T* log_sum) {
  T* const inverse = p + b.rows * b.keys;
  scores(a, h, b, q, p);
  for (std::int64_t i = 0; i < b.rows; ++i) {
    T* const row = p + i * b.keys;
    const ExpSum found = exp_row(row + b.from(i), b.to(i) - b.from(i), scale_of<T>(a));
    b.hide(i, row);
    inverse[i] = static_cast<T>(1.0 / found.sum);
    if (log_sum != nullptr) log_sum[i * a.heads] = static_cast<T>(found.log_sum);
  }
  const std::int64_t pitch = a.heads * a.v_dim;
  gemm_serial<T>(b.rows, a.v_dim, b.keys, {p, b.keys}, {h.v + b.begin * h.v_pitch, h.v_pitch}, {y, pitch},
                 kOneRow);
  for (std::int64_t i = 0; i < b.rows; ++i) {
    for (std::int64_t c = 0; c < a.v_dim; ++c) y[i * pitch + c] *= inverse[i];
  }
}

/// The first keys of one sequence, or nullptr if nothing is masked.
const std::int32_t* first_keys_of(const Attention& a, const Tensor& first_key, std::int64_t sequence) {
  return first_key.defined() ? first_key.data<const std::int32_t>() + sequence * a.seq : nullptr;
}

void check_first_keys(const Attention& a, const Tensor& first_key) {
  const auto* const keys = first_key.data<const std::int32_t>();
  for (std::int64_t i = 0; i < a.batch * a.seq; ++i) {
    GRANULE_CHECK(keys[i] >= 0 && keys[i] <= i % a.seq, "attention: token {} of a sequence sees from {} on",
                  i % a.seq, keys[i]);
  }
}

/// Elements of scratch of a block's scores and of the sums of their exponentials.
std::int64_t scores_and_sums(std::int64_t rows, std::int64_t keys) {
  return rows * (keys + 1);
}

/// The workspace has Kᵀ of every sequence and key-value head, and the scores of a block for each thread.
template <class T>
void forward_blocks(const Attention::ForwardArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  ThreadPool& pool = args.qkv.context().pool();
  const std::int64_t blocks = (a.seq + kQueries - 1) / kQueries, out = a.heads * a.v_dim;
  const std::int64_t key_size = a.qk_dim * a.seq, group = a.heads / a.kv_heads;
  T* const keys = workspace.take<T>(a.batch * a.kv_heads * key_size);
  T* const scratch = workspace.take<T>(pool.size() * scores_and_sums(kQueries, a.seq));
  pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
    const Head<T> h = head_of(a, args.qkv.data<const T>(), task / a.kv_heads, task % a.kv_heads * group);
    transpose<T>(h.k, a.seq, a.qk_dim, h.k_pitch, {keys + task * key_size, a.seq});
  });
  pool.run(a.batch * a.heads * blocks, [&](std::int64_t task) {
    // Later blocks see more keys. They go first, so that no long task is left for the end.
    const std::int64_t block = blocks - 1 - task / (a.batch * a.heads);
    const std::int64_t sequence = task % (a.batch * a.heads) / a.heads, head = task % a.heads;
    const std::int64_t first = block * kQueries, row = sequence * a.seq + first;
    const Block b(first, std::min(kQueries, a.seq - first), first_keys_of(a, args.first_key, sequence));
    Head<T> h = head_of(a, args.qkv.data<const T>(), sequence, head);
    h.k_transposed = keys + (sequence * a.kv_heads + head / group) * key_size;
    h.transposed_pitch = a.seq;
    T* const p = scratch + ThreadPool::thread_index() * scores_and_sums(kQueries, a.seq);
    T* const sums = args.log_sum.defined() ? args.log_sum.data<T>() + row * a.heads + head : nullptr;
    forward_block(a, h, b, h.q + first * h.q_pitch, p, args.y.data<T>() + row * out + head * a.v_dim, sums);
  });
}

/// What the blocks of queries of one head contribute in backward.
template <class T>
struct BackwardHead {
  const Attention& a;
  Head<T> h;
  // The rows of this sequence and head; their pitches are heads·v_dim, heads·v_dim and heads.
  const T *y, *dy, *log_sum;
  T* dq;                             // the row pitch is width()
  T *p, *dp;                         // scratch, [kQueries, seq]
  T *dk_transposed, *dv_transposed;  // [qk_dim, seq], [v_dim, seq], to which the blocks add

  void run(const Block& b, double query_beta) const {
    const std::int64_t out = a.heads * a.v_dim, w = a.width();
    const T *const q = h.q + b.first * h.q_pitch, *const dy_rows = dy + b.first * out;
    scores(a, h, b, q, p);
    gemm_serial<T>(b.rows, b.keys, a.v_dim, {dy_rows, out},
                   transposed(h.v, h.v_pitch, h.v_transposed, h.transposed_pitch, b), {dp, b.keys}, kOneRow);
    for (std::int64_t i = 0; i < b.rows; ++i) score_gradient(b, i);
    gemm_serial<T>(b.rows, a.qk_dim, b.keys, {dp, b.keys}, {h.k + b.begin * h.k_pitch, h.k_pitch},
                   {dq + b.first * w, w, query_beta}, kOneRow);
    // A sixth faster than dK = dSᵀ Q and dV = Pᵀ dY.
    gemm_serial<T>(a.qk_dim, b.keys, b.rows, {q, h.q_pitch, Transpose::yes}, {dp, b.keys},
                   {dk_transposed + b.begin, a.seq, 1.0}, kOneRow);
    gemm_serial<T>(a.v_dim, b.keys, b.rows, {dy_rows, out, Transpose::yes}, {p, b.keys},
                   {dv_transposed + b.begin, a.seq, 1.0}, kOneRow);
  }

  /// Turns row i of the block from scores into P, in p, and from dP into dS, in dp.
  void score_gradient(const Block& b, std::int64_t i) const {
    T *const p_row = p + i * b.keys, *const dp_row = dp + i * b.keys;
    const std::int64_t from = b.from(i), visible = b.to(i) - from, query = b.first + i;
    const T* const y_row = y + query * a.heads * a.v_dim;
    const T shift = dot(y_row, dy + query * a.heads * a.v_dim, a.v_dim);
    softmax_row_backward(p_row + from, dp_row + from, visible, scale_of<T>(a), log_sum[query * a.heads],
                         shift);
    b.hide(i, p_row);
    b.hide(i, dp_row);
  }
};

/// Computes all query heads of one key-value head of one sequence together, because the gradients of its keys
/// and values are sums over them.
template <class T>
void backward_group(const Attention::BackwardArgs& args, std::int64_t sequence, std::int64_t kv, T* scratch) {
  const Attention& a = args.attention;
  const Grad& dqkv = args.dqkv;
  const std::int64_t out = a.heads * a.v_dim, group = a.heads / a.kv_heads, row = sequence * a.seq;
  const std::int32_t* const first_keys = first_keys_of(a, args.first_key, sequence);
  T* const gradient = dqkv.dst.data<T>() + row * a.width();
  T *const keys = scratch + 2 * kQueries * a.seq, *const values = keys + a.qk_dim * a.seq,
           *const dkeys = values + a.v_dim * a.seq, *const dvalues = dkeys + a.qk_dim * a.seq;
  std::fill_n(dkeys, (a.qk_dim + a.v_dim) * a.seq, T(0));
  const Head<T> any = head_of(a, args.qkv.data<const T>(), sequence, kv * group);
  transpose<T>(any.k, a.seq, a.qk_dim, any.k_pitch, {keys, a.seq});
  transpose<T>(any.v, a.seq, a.v_dim, any.v_pitch, {values, a.seq});
  for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
    Head<T> h = head_of(a, args.qkv.data<const T>(), sequence, head);
    h.k_transposed = keys;
    h.v_transposed = values;
    h.transposed_pitch = a.seq;
    const BackwardHead<T> block{a,
                                h,
                                args.y.data<const T>() + row * out + head * a.v_dim,
                                args.dy.data<const T>() + row * out + head * a.v_dim,
                                args.log_sum.data<const T>() + row * a.heads + head,
                                gradient + head * a.qk_dim,
                                scratch,
                                scratch + kQueries * a.seq,
                                dkeys,
                                dvalues};
    for (std::int64_t first = 0; first < a.seq; first += kQueries)
      block.run({first, std::min(kQueries, a.seq - first), first_keys}, dqkv.beta);
  }
  const std::int64_t key = (a.heads + kv) * a.qk_dim,
                     value = (a.heads + a.kv_heads) * a.qk_dim + kv * a.v_dim;
  transpose<T>(dkeys, a.qk_dim, a.seq, a.seq, {gradient + key, a.width(), dqkv.beta});
  transpose<T>(dvalues, a.v_dim, a.seq, a.seq, {gradient + value, a.width(), dqkv.beta});
}

/// Elements of scratch of a thread in backward: scores and their gradients, keys and values and their
/// gradients.
std::int64_t backward_planes(const Attention& a) {
  return 2 * (kQueries + a.qk_dim + a.v_dim) * a.seq;
}

void forward_cpu(const Attention::ForwardArgs& args, Workspace& workspace) {
  if (args.first_key.defined()) check_first_keys(args.attention, args.first_key);
  dispatch_float(args.qkv.dtype(), [&]<class T>() { forward_blocks<T>(args, workspace); });
}
std::int64_t forward_workspace(const Attention::ForwardArgs& args, int threads) {
  const Attention& a = args.attention;
  return workspace_bytes({{a.batch * a.kv_heads * a.qk_dim * a.seq, args.qkv.dtype()},
                          {threads * scores_and_sums(kQueries, a.seq), args.qkv.dtype()}});
}

void backward_cpu(const Attention::BackwardArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  ThreadPool& pool = args.dy.context().pool();
  dispatch_float(args.dy.dtype(), [&]<class T>() {
    T* const scratch = workspace.take<T>(pool.size() * backward_planes(a));
    pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
      backward_group(args, task / a.kv_heads, task % a.kv_heads,
                     scratch + ThreadPool::thread_index() * backward_planes(a));
    });
  });
}
std::int64_t backward_workspace(const Attention::BackwardArgs& args, int threads) {
  return workspace_bytes({{threads * backward_planes(args.attention), args.dy.dtype()}});
}

/// Appends the new tokens' keys and values to those of the cache.
template <class T>
void append_to_cache(const CachedAttentionArgs& args) {
  const Attention& a = args.attention;
  const std::int64_t key_width = a.kv_heads * a.qk_dim, value_width = a.kv_heads * a.v_dim;
  T *const keys = args.keys.data<T>(), *const values = args.values.data<T>();
  for (std::int64_t i = 0; i < a.seq; ++i) {
    const T* const key = args.qkv.data<const T>() + i * a.width() + a.heads * a.qk_dim;
    std::copy_n(key, key_width, keys + (args.past + i) * key_width);
    std::copy_n(key + key_width, value_width, values + (args.past + i) * value_width);
  }
}

void cached_cpu(const CachedAttentionArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  const std::int64_t total = args.past + a.seq;
  dispatch_float(args.y.dtype(), [&]<class T>() {
    append_to_cache<T>(args);
    T* const scratch = workspace.take<T>(a.heads * scores_and_sums(a.seq, total));
    args.y.context().pool().run(a.heads, [&](std::int64_t head) {
      const std::int64_t kv = head / (a.heads / a.kv_heads);
      const Head<T> h{args.qkv.data<const T>() + head * a.qk_dim,
                      args.keys.data<const T>() + kv * a.qk_dim,
                      args.values.data<const T>() + kv * a.v_dim,
                      a.width(),
                      a.kv_heads * a.qk_dim,
                      a.kv_heads * a.v_dim};
      forward_block<T>(a, h, {args.past, a.seq, nullptr}, h.q, scratch + head * scores_and_sums(a.seq, total),
                       args.y.data<T>() + head * a.v_dim, nullptr);
    });
  });
}
std::int64_t cached_workspace(const CachedAttentionArgs& args, int /*threads*/) {
  const Attention& a = args.attention;
  return workspace_bytes({{a.heads * scores_and_sums(a.seq, args.past + a.seq), args.y.dtype()}});
}

void check(const Attention& a, const Tensor& qkv) {
  GRANULE_CHECK(a.kv_heads > 0 && a.heads % a.kv_heads == 0, "attention: {} heads over {} key-value heads",
                a.heads, a.kv_heads);
  GRANULE_CHECK(qkv.shape() == Shape({a.batch * a.seq, a.width()}),
                "attention: qkv is {}, {} sequences of {} tokens need [{}, {}]", qkv.shape().str(), a.batch,
                a.seq, a.batch * a.seq, a.width());
}

}  // namespace

constinit KernelSlot<Attention::ForwardArgs> Attention::forward_kernel{"attention", forward_cpu,
                                                                       forward_workspace};
constinit KernelSlot<Attention::BackwardArgs> Attention::backward_kernel{"attention backward", backward_cpu,
                                                                         backward_workspace};
constinit KernelSlot<CachedAttentionArgs> cached_attention_kernel{"attention with a cache", cached_cpu,
                                                                  cached_workspace};

Tensor Attention::forward(Saved* saved, const Tensor& qkv_NW, const Tensor& first_key_N) const {
  check(*this, qkv_NW);
  GRANULE_CHECK(!first_key_N.defined() || first_key_N.shape() == Shape{batch * seq},
                "attention: {} first keys for {} tokens", first_key_N.shape().str(), batch * seq);
  Tensor y = qkv_NW.empty_like({batch * seq, heads * v_dim});
  Tensor log_sum;
  if (saved != nullptr) log_sum = qkv_NW.empty_like({batch * seq, heads});
  forward_kernel({*this, qkv_NW, first_key_N, y, log_sum});
  if (saved != nullptr) *saved = {qkv_NW, y, log_sum, first_key_N};
  return y;
}

void Attention::backward(const Saved& saved, const Tensor& dy_NO, const Grad& dqkv_NW) const {
  if (!dqkv_NW) return;
  backward_kernel({*this, saved.qkv, saved.y, saved.log_sum, saved.first_key, dy_NO, dqkv_NW});
}

Tensor attend_with_cache(const Attention& attention, const Tensor& qkv_NW, KvCache& cache) {
  check(attention, qkv_NW);
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
