#include "core/ops/attention.hpp"

#include <algorithm>
#include <vector>

#include "core/kernels/dot_rows.hpp"
#include "core/kernels/wide_elements.hpp"
#include "core/ops/attention_blocks.hpp"

namespace granule {

using namespace attention;

namespace {

constexpr std::int64_t kQueries = 32;  // rows of P held at once

/// out = xᵀ for x[rows, columns], in squares whose lines of memory stay in the cache. beta 1 adds to out.
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

template <class T>
struct ForwardData {
  const T* qkv;
  T *y, *log_sum;  // log_sum may be nullptr
};

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

/// The workspace has the keys and values of every sequence, and the scores of a block for each thread.
template <class T>
void forward_blocks(const Attention::ForwardArgs& args, const ForwardData<T>& data, Workspace& workspace) {
  const Attention& a = args.attention;
  ThreadPool& pool = args.qkv.context().pool();
  const std::int64_t blocks = (a.seq + kQueries - 1) / kQueries, out = a.heads * a.v_dim;
  const std::int64_t stored = stored_elements<T>(a), group = a.heads / a.kv_heads;
  T* const memory = workspace.take<T>(a.batch * a.kv_heads * stored);
  T* const scratch = workspace.take<T>(pool.size() * scores_and_sums(kQueries, a.seq));
  std::vector<AttentionHead<T>> heads(static_cast<std::size_t>(a.batch * a.kv_heads));
  pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
    const AttentionHead<T> h = head_of(a, data.qkv, task / a.kv_heads, task % a.kv_heads * group);
    heads[static_cast<std::size_t>(task)] = with_stored(a, h, memory + task * stored);
  });
  pool.run(a.batch * a.heads * blocks, [&](std::int64_t task) {
    // Later blocks see more keys. They go first, so that no long task is left for the end.
    const std::int64_t block = blocks - 1 - task / (a.batch * a.heads);
    const std::int64_t sequence = task % (a.batch * a.heads) / a.heads, head = task % a.heads;
    const std::int64_t first = block * kQueries, row = sequence * a.seq + first;
    const QueryBlock b(first, std::min(kQueries, a.seq - first), first_keys_of(a, args.first_key, sequence));
    AttentionHead<T> h = heads[static_cast<std::size_t>(sequence * a.kv_heads + head / group)];
    h.q = head_of(a, data.qkv, sequence, head).q;
    T* const p = scratch + ThreadPool::thread_index() * scores_and_sums(kQueries, a.seq);
    T* const sums = data.log_sum != nullptr ? data.log_sum + row * a.heads + head : nullptr;
    forward_block(a, h, b, h.q + first * h.q_pitch, p, data.y + row * out + head * a.v_dim, sums);
  });
}

/// What the blocks of queries of one head contribute in backward.
template <class T>
struct BackwardHead {
  const Attention& a;
  AttentionHead<T> h;
  // The rows of this sequence and head; their pitches are heads·v_dim, heads·v_dim and heads.
  const T *y, *dy, *log_sum;
  T* dq;                             // the row pitch is width()
  T *p, *dp;                         // scratch, [kQueries, seq]
  T *dk_transposed, *dv_transposed;  // [qk_dim, seq], [v_dim, seq], to which the blocks add

  void run(const QueryBlock& b, double query_beta) const {
    const std::int64_t out = a.heads * a.v_dim, w = a.width();
    const T *const q = h.q + b.first * h.q_pitch, *const dy_rows = dy + b.first * out;
    scores(a, h, b, q, p);
    h.v_transposed.multiply(b.rows, {dy_rows, out}, {0, a.v_dim}, b.range(), {dp, b.keys});
    for (std::int64_t i = 0; i < b.rows; ++i) score_gradient(b, i);
    h.k_stored.multiply(b.rows, {dp, b.keys}, b.range(), {0, a.qk_dim}, {dq + b.first * w, w, query_beta});
    // These two products are a sixth faster than dK = dSᵀ Q and dV = Pᵀ dY.
    gemm_serial<T>(a.qk_dim, b.keys, b.rows, {q, h.q_pitch, Transpose::yes}, {dp, b.keys},
                   {dk_transposed + b.begin, a.seq, 1.0}, kOneRow);
    gemm_serial<T>(a.v_dim, b.keys, b.rows, {dy_rows, out, Transpose::yes}, {p, b.keys},
                   {dv_transposed + b.begin, a.seq, 1.0}, kOneRow);
  }

  /// Turns row i of the block from scores into P, in p, and from dP into dS, in dp.
  void score_gradient(const QueryBlock& b, std::int64_t i) const {
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

template <class T>
struct BackwardData {
  const T *qkv, *y, *dy, *log_sum;
  T* dqkv;
  double beta;
};

/// Elements of Kᵀ, Vᵀ and K of one key-value head as they are stored for backward.
template <class T>
std::int64_t stored_for_backward(const Attention& a) {
  return RightOperand<T>::elements(a.seq, a.qk_dim) + RightOperand<T>::elements(a.seq, a.v_dim) +
         RightOperand<T>::elements(a.qk_dim, a.seq);
}

template <class T>
AttentionHead<T> stored_for_backward(const Attention& a, AttentionHead<T> h, T* memory) {
  h.k_transposed = RightOperand<T>::store(a.seq, a.qk_dim, {h.k, h.k_pitch, Transpose::yes}, memory);
  memory += RightOperand<T>::elements(a.seq, a.qk_dim);
  h.v_transposed = RightOperand<T>::store(a.seq, a.v_dim, {h.v, h.v_pitch, Transpose::yes}, memory);
  memory += RightOperand<T>::elements(a.seq, a.v_dim);
  h.k_stored = RightOperand<T>::store(a.qk_dim, a.seq, {h.k, h.k_pitch}, memory);
  return h;
}

/// Computes all query heads of one key-value head of one sequence together, because the gradients of its keys
/// and values are sums over them.
template <class T>
void backward_group(const Attention::BackwardArgs& args, const BackwardData<T>& data, std::int64_t sequence,
                    std::int64_t kv, T* scratch) {
  const Attention& a = args.attention;
  const std::int64_t out = a.heads * a.v_dim, group = a.heads / a.kv_heads, row = sequence * a.seq;
  const std::int32_t* const first_keys = first_keys_of(a, args.first_key, sequence);
  T* const gradient = data.dqkv + row * a.width();
  T* const stored = scratch + 2 * kQueries * a.seq;
  T *const dkeys = stored + stored_for_backward<T>(a), *const dvalues = dkeys + a.qk_dim * a.seq;
  std::fill_n(dkeys, (a.qk_dim + a.v_dim) * a.seq, T(0));
  const AttentionHead<T> any = stored_for_backward(a, head_of(a, data.qkv, sequence, kv * group), stored);
  for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
    AttentionHead<T> h = any;
    h.q = head_of(a, data.qkv, sequence, head).q;
    const BackwardHead<T> block{a,
                                h,
                                data.y + row * out + head * a.v_dim,
                                data.dy + row * out + head * a.v_dim,
                                data.log_sum + row * a.heads + head,
                                gradient + head * a.qk_dim,
                                scratch,
                                scratch + kQueries * a.seq,
                                dkeys,
                                dvalues};
    for (std::int64_t first = 0; first < a.seq; first += kQueries)
      block.run({first, std::min(kQueries, a.seq - first), first_keys}, data.beta);
  }
  const std::int64_t key = (a.heads + kv) * a.qk_dim,
                     value = (a.heads + a.kv_heads) * a.qk_dim + kv * a.v_dim;
  transpose<T>(dkeys, a.qk_dim, a.seq, a.seq, {gradient + key, a.width(), data.beta});
  transpose<T>(dvalues, a.v_dim, a.seq, a.seq, {gradient + value, a.width(), data.beta});
}

/// Elements of scratch of a thread in backward: scores and their gradients, keys and values and their
/// gradients. The scratch of every thread is aligned alike.
template <class T>
std::int64_t backward_planes(const Attention& a) {
  return align_up((2 * kQueries + a.qk_dim + a.v_dim) * a.seq + stored_for_backward<T>(a));
}

void forward_cpu(const Attention::ForwardArgs& args, Workspace& workspace) {
  if (args.first_key.defined()) check_first_keys(args.attention, args.first_key);
  dispatch_storage(args.qkv.dtype(), [&]<class T>() {
    using W = Wide<T>;
    const W* const qkv = wide_elements<T>(args.qkv, workspace);
    const WideResult<T> y({args.y, 0.0}, workspace);
    W* const log_sum = args.log_sum.defined() ? args.log_sum.data<W>() : nullptr;
    forward_blocks<W>(args, {qkv, y.elements(), log_sum}, workspace);
    y.finish();
  });
}
std::int64_t forward_workspace(const Attention::ForwardArgs& args, int threads) {
  const Attention& a = args.attention;
  const DType dtype = wide_of(args.qkv.dtype());
  std::int64_t stored = 0;
  dispatch_float(dtype, [&]<class T>() { stored = a.batch * a.kv_heads * stored_elements<T>(a); });
  return workspace_bytes({wide_part(args.qkv),
                          wide_part(args.y),
                          {stored, dtype},
                          {threads * scores_and_sums(kQueries, a.seq), dtype}});
}

void backward_cpu(const Attention::BackwardArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  ThreadPool& pool = args.dy.context().pool();
  dispatch_storage(args.dy.dtype(), [&]<class T>() {
    using W = Wide<T>;
    const WideResult<T> dqkv(args.dqkv, workspace);
    const BackwardData<W> data{wide_elements<T>(args.qkv, workspace),
                               wide_elements<T>(args.y, workspace),
                               wide_elements<T>(args.dy, workspace),
                               args.log_sum.data<const W>(),
                               dqkv.elements(),
                               dqkv.beta()};
    const std::int64_t planes = backward_planes<W>(a);
    W* const scratch = workspace.take<W>(pool.size() * planes);
    pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
      backward_group(args, data, task / a.kv_heads, task % a.kv_heads,
                     scratch + ThreadPool::thread_index() * planes);
    });
    dqkv.finish();
  });
}
std::int64_t backward_workspace(const Attention::BackwardArgs& args, int threads) {
  const DType dtype = wide_of(args.dy.dtype());
  std::int64_t planes = 0;
  dispatch_float(dtype, [&]<class T>() { planes = threads * backward_planes<T>(args.attention); });
  return workspace_bytes({wide_part(args.dqkv.dst),
                          wide_part(args.qkv),
                          wide_part(args.y),
                          wide_part(args.dy),
                          {planes, dtype}});
}

}  // namespace

constinit KernelSlot<Attention::ForwardArgs> Attention::forward_kernel{"attention", forward_cpu,
                                                                       forward_workspace};
constinit KernelSlot<Attention::BackwardArgs> Attention::backward_kernel{"attention backward", backward_cpu,
                                                                         backward_workspace};

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

void Attention::backward(const Saved& saved, const Tensor& dy_NO, const Grad& dqkv_NW) const {
  if (!dqkv_NW) return;
  backward_kernel({*this, saved.qkv, saved.y, saved.log_sum, saved.first_key, dy_NO, dqkv_NW});
}

}  // namespace granule
