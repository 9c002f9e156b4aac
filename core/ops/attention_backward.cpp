// The gradient of attention over whole sequences, which computes scores again.
#include <algorithm>

#include "core/kernels/dot_rows.hpp"
#include "core/kernels/fetch_row.hpp"
#include "core/kernels/transpose.hpp"
#include "core/ops/attention.hpp"
#include "core/ops/attention_blocks.hpp"

namespace granule {

using namespace attention;

namespace {

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

/// Scratch of a thread in backward, cut from `memory`. It has scores and their gradients, in bf16 rounded
/// too. It has the sums of the gradients of keys and values, a block of rows of dQ, dK or dV, and stored
/// operands.
template <class T>
struct BackwardScratch {
  std::int64_t pitch;  // of rows of scores and of the transposed sums
  Wide<T>*p, *dp, *rows, *dk_transposed, *dv_transposed;
  T *rounded_p, *rounded_dp, *stored;
  std::int64_t bytes;

  BackwardScratch(const Attention& a, std::byte* memory) : pitch(score_pitch(a.seq)) {
    constexpr bool kRounds = !std::is_same_v<T, Wide<T>>;
    Cutter cut(memory);
    p = cut.take<Wide<T>>(kQueries * pitch);
    dp = cut.take<Wide<T>>(kQueries * pitch);
    dk_transposed = cut.take<Wide<T>>(a.qk_dim * pitch);
    dv_transposed = cut.take<Wide<T>>(a.v_dim * pitch);
    rows = cut.take<Wide<T>>(kQueries * std::max(a.qk_dim, a.v_dim));
    rounded_p = cut.take<T>(kRounds ? kQueries * pitch : 0);
    rounded_dp = cut.take<T>(kRounds ? kQueries * pitch : 0);
    stored = cut.take<T>(stored_for_backward<T>(a));
    bytes = cut.bytes() + kGap;
  }
};

/// to = from + beta to, rounded once if it is bf16.
template <class T>
void write_row(const Wide<T>* from, std::int64_t n, double beta, T* to) {
  if constexpr (std::is_same_v<T, bf16>) {
    round_row(from, n, to, beta != 0.0);
  } else {
    for (std::int64_t c = 0; c < n; ++c) to[c] = from[c] + (beta == 0.0 ? T(0) : to[c]);
  }
}

/// The rows of x[columns, seq]ᵀ become those of `out`, a block at a time.
template <class T>
void write_transposed(std::int64_t columns, std::int64_t seq, MatrixIn<Wide<T>> x, Wide<T>* block,
                      MatrixOut<T> out) {
  for (std::int64_t first = 0; first < seq; first += kQueries) {
    const std::int64_t rows = std::min(kQueries, seq - first);
    transpose(columns, rows, x.data + first, x.pitch, block);
    for (std::int64_t i = 0; i < rows; ++i) {
      T* const to = out.data + (first + i) * out.pitch;
      fetch_row(to + kQueries * out.pitch, columns);
      write_row(block + i * columns, columns, out.beta, to);
    }
  }
}

/// What the blocks of queries of one head contribute in backward.
template <class T>
struct BackwardHead {
  const Attention& a;
  AttentionHead<T> h;
  // The rows of this sequence and head; their pitches are heads·v_dim, heads·v_dim and heads.
  const T *y, *dy;
  const Wide<T>* log_sum;
  T* dq;  // the row pitch is width()
  BackwardScratch<T> scratch;

  void run(const QueryBlock& b, double query_beta) const {
    const std::int64_t out = a.heads * a.v_dim;
    const T *const q = h.q + b.first * h.q_pitch, *const dy_rows = dy + b.first * out;
    for (std::int64_t i = 0; i < b.rows; ++i) {
      fetch_row(y + (b.first + i) * out, a.v_dim);
      fetch_row(dy_rows + i * out, a.v_dim);
    }
    scores(a, h, b, q, {scratch.p, scratch.pitch});
    h.v_transposed.multiply(b.rows, {dy_rows, out}, {0, a.v_dim}, b.range(), {scratch.dp, scratch.pitch});
    for (std::int64_t i = 0; i < b.rows; ++i) score_gradient(b, i);
    const MatrixIn<T> p{rounded(b, scratch.p, scratch.rounded_p), scratch.pitch},
        dp{rounded(b, scratch.dp, scratch.rounded_dp), scratch.pitch};
    query_gradient(b, dp, query_beta);
    // dKᵀ = Qᵀ dS and dVᵀ = dYᵀ P are faster than dK = dSᵀ Q and dV = Pᵀ dY.
    multiply_few_terms<T>(a.qk_dim, b.keys, b.rows, {q, h.q_pitch, Transpose::yes}, dp,
                          {scratch.dk_transposed + b.begin, scratch.pitch, 1.0});
    multiply_few_terms<T>(a.v_dim, b.keys, b.rows, {dy_rows, out, Transpose::yes}, p,
                          {scratch.dv_transposed + b.begin, scratch.pitch, 1.0});
  }

  /// Scores or their gradients as products read them.
  [[nodiscard]] const T* rounded(const QueryBlock& b, const Wide<T>* from, T* to) const {
    if constexpr (std::is_same_v<T, bf16>) {
      for (std::int64_t i = 0; i < b.rows; ++i)
        round_row(from + i * scratch.pitch, b.keys, to + i * scratch.pitch);
      return to;
    } else {
      return from;
    }
  }

  /// dQ = dS K
  void query_gradient(const QueryBlock& b, MatrixIn<T> dp, double beta) const {
    T* const to = dq + b.first * a.width();
    const auto multiply_into = [&](MatrixOut<Wide<T>> sums) {
      h.k_stored.multiply(b.rows, dp, b.range(), {0, a.qk_dim}, sums);
    };
    if constexpr (std::is_same_v<T, bf16>) {
      multiply_into({scratch.rows, a.qk_dim});
      for (std::int64_t i = 0; i < b.rows; ++i)
        write_row(scratch.rows + i * a.qk_dim, a.qk_dim, beta, to + i * a.width());
    } else {
      multiply_into({to, a.width(), beta});
    }
  }

  /// Turns row i of the block from scores into P, in p, and from dP into dS, in dp.
  void score_gradient(const QueryBlock& b, std::int64_t i) const {
    using W = Wide<T>;
    W *const p_row = scratch.p + i * scratch.pitch, *const dp_row = scratch.dp + i * scratch.pitch;
    const std::int64_t from = b.from(i), visible = b.to(i) - from, query = b.first + i;
    const T* const y_row = y + query * a.heads * a.v_dim;
    const W shift = dot(y_row, dy + query * a.heads * a.v_dim, a.v_dim);
    softmax_row_backward(p_row + from, dp_row + from, visible, scale_of<W>(a), log_sum[query * a.heads],
                         shift);
    b.hide(i, p_row);
    b.hide(i, dp_row);
  }
};

/// Computes all query heads of one key-value head of one sequence together, because the gradients of its keys
/// and values are sums over them.
template <class T>
void backward_group(const Attention::BackwardArgs& args, const KeyValueHead& which,
                    const BackwardScratch<T>& scratch) {
  const auto [sequence, kv] = which;
  const Attention& a = args.attention;
  const std::int64_t out = a.heads * a.v_dim, group = a.heads / a.kv_heads, row = sequence * a.seq;
  const std::int32_t* const first_keys = first_keys_of(a, args.first_key, sequence);
  const T* const qkv = args.qkv.data<const T>();
  T* const gradient = args.dqkv.dst.data<T>() + row * a.width();
  const double beta = args.dqkv.beta;
  std::fill_n(scratch.dk_transposed, a.qk_dim * scratch.pitch, Wide<T>(0));
  std::fill_n(scratch.dv_transposed, a.v_dim * scratch.pitch, Wide<T>(0));
  const AttentionHead<T> any = stored_for_backward(a, head_of(a, qkv, sequence, kv * group), scratch.stored);
  for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
    AttentionHead<T> h = any;
    h.q = head_of(a, qkv, sequence, head).q;
    const BackwardHead<T> block{a,
                                h,
                                args.y.data<const T>() + row * out + head * a.v_dim,
                                args.dy.data<const T>() + row * out + head * a.v_dim,
                                args.log_sum.data<const Wide<T>>() + row * a.heads + head,
                                gradient + head * a.qk_dim,
                                scratch};
    for (std::int64_t first = 0; first < a.seq; first += kQueries)
      block.run({first, std::min(kQueries, a.seq - first), first_keys}, beta);
  }
  const std::int64_t key = (a.heads + kv) * a.qk_dim,
                     value = (a.heads + a.kv_heads) * a.qk_dim + kv * a.v_dim;
  write_transposed<T>(a.qk_dim, a.seq, {scratch.dk_transposed, scratch.pitch}, scratch.rows,
                      {gradient + key, a.width(), beta});
  write_transposed<T>(a.v_dim, a.seq, {scratch.dv_transposed, scratch.pitch}, scratch.rows,
                      {gradient + value, a.width(), beta});
}

void backward_cpu(const Attention::BackwardArgs& args, Workspace& workspace) {
  const Attention& a = args.attention;
  ThreadPool& pool = args.dy.context().pool();
  dispatch_storage(args.dy.dtype(), [&]<class T>() {
    const std::int64_t bytes = BackwardScratch<T>(a, nullptr).bytes;
    std::byte* const memory = workspace.take<std::byte>(pool.size() * bytes);
    pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
      backward_group<T>(args, KeyValueHead(a, task),
                        BackwardScratch<T>(a, memory + ThreadPool::thread_index() * bytes));
    });
  });
}
std::int64_t backward_workspace(const Attention::BackwardArgs& args, int threads) {
  return dispatch_storage(args.dy.dtype(), [&]<class T>() {
    return workspace_bytes({{threads * BackwardScratch<T>(args.attention, nullptr).bytes, DType::u8}});
  });
}

}  // namespace

constinit KernelSlot<Attention::BackwardArgs> Attention::backward_kernel{"attention backward", backward_cpu,
                                                                         backward_workspace};

void Attention::backward(const Saved& saved, const Tensor& dy_NO, const Grad& dqkv_NW) const {
  if (!dqkv_NW) return;
  backward_kernel({*this, saved.qkv, saved.y, saved.log_sum, saved.first_key, dy_NO, dqkv_NW});
}

}  // namespace granule
