#include "core/ops/attention.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/kernels/gemm.hpp"
#include "core/kernels/softmax.hpp"

namespace granule {
namespace {

constexpr std::int64_t kQueries = 64;  // rows of P held at once

/// Pointers into the matrices of one sequence and one query head; rows are `pitch` elements apart.
template <class T>
struct Head {
  const T *q, *k, *v;
  std::int64_t q_pitch, k_pitch, v_pitch;
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

template <class T>
T scale_of(const Attention& a) {
  return static_cast<T>(1.0 / std::sqrt(static_cast<double>(a.qk_dim)));
}

/// Rows [first, first + rows) of S = Q Kᵀ against `keys` keys, unscaled, into s[rows, keys].
template <class T>
void scores(const Attention& a, const Head<T>& h, std::int64_t first, std::int64_t rows, std::int64_t keys,
            T* s) {
  gemm_serial<T>(rows, keys, a.qk_dim, {h.q + first * h.q_pitch, h.q_pitch}, {h.k, h.k_pitch, Transpose::yes},
                 {s, keys});
}

/// One block of queries: query i of the block sees keys [0, past + first + i].
template <class T>
void forward_block(const Attention& a, const Head<T>& h, std::int64_t past, std::int64_t first,
                   std::int64_t rows, T* p, T* y, std::int64_t y_pitch, T* log_sum,
                   std::int64_t log_sum_pitch) {
  const std::int64_t keys = past + first + rows;
  scores(a, h, first, rows, keys, p);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t visible = past + first + i + 1;
    const double sum = softmax_row(p + i * keys, visible, scale_of<T>(a));
    std::fill(p + i * keys + visible, p + (i + 1) * keys, T(0));
    if (log_sum != nullptr) log_sum[(first + i) * log_sum_pitch] = static_cast<T>(sum);
  }
  gemm_serial<T>(rows, a.v_dim, keys, {p, keys}, {h.v, h.v_pitch}, {y + first * y_pitch, y_pitch});
}

template <class T>
void forward_cpu(const Attention& a, const Tensor& qkv, const Tensor& y, const Tensor* log_sum) {
  ThreadPool& pool = qkv.context().pool();
  const std::int64_t blocks = (a.seq + kQueries - 1) / kQueries, out = a.heads * a.v_dim;
  const Tensor scratch =
      Tensor::empty(qkv.context(), {pool.size(), kQueries * a.seq}, qkv.dtype(), MemoryCategory::scratch);
  pool.run(a.batch * a.heads * blocks, [&](std::int64_t task) {
    // Later blocks see more keys: they go first, so that no long task is left for the end.
    const std::int64_t block = blocks - 1 - task / (a.batch * a.heads);
    const std::int64_t sequence = task % (a.batch * a.heads) / a.heads, head = task % a.heads;
    const std::int64_t first = block * kQueries, rows = std::min(kQueries, a.seq - first);
    const std::int64_t row = sequence * a.seq;
    T* const p = scratch.data<T>() + ThreadPool::thread_index() * kQueries * a.seq;
    T* const sums = log_sum == nullptr ? nullptr : log_sum->data<T>() + row * a.heads + head;
    forward_block(a, head_of(a, qkv.data<const T>(), sequence, head), 0, first, rows, p,
                  y.data<T>() + row * out + head * a.v_dim, out, sums, a.heads);
  });
}

/// What one block of queries of one head contributes in backward.
template <class T>
struct BackwardBlock {
  const Attention& a;
  const T *y, *dy, *log_sum;  // of this sequence and head: row pitches heads·v_dim, heads·v_dim, heads
  T *dq, *dk, *dv;            // row pitch width()
  T *p, *dp;                  // scratch, [kQueries, seq]

  void run(const Head<T>& h, std::int64_t first, std::int64_t rows, double query_beta,
           double key_beta) const {
    const std::int64_t keys = first + rows, out = a.heads * a.v_dim, w = a.width();
    const T* const dy_rows = dy + first * out;
    scores(a, h, first, rows, keys, p);
    gemm_serial<T>(rows, keys, a.v_dim, {dy_rows, out}, {h.v, h.v_pitch, Transpose::yes}, {dp, keys});
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t visible = first + i + 1;
      T* const p_row = p + i * keys;
      T* const dp_row = dp + i * keys;
      softmax_row_again(p_row, visible, scale_of<T>(a), log_sum[(first + i) * a.heads]);
      const T* const y_row = y + (first + i) * out;
      const T shift = std::inner_product(y_row, y_row + a.v_dim, dy_rows + i * out, T(0));
      softmax_row_backward(p_row, dp_row, visible, scale_of<T>(a), shift);
      std::fill(p_row + visible, p_row + keys, T(0));
      std::fill(dp_row + visible, dp_row + keys, T(0));
    }
    gemm_serial<T>(rows, a.qk_dim, keys, {dp, keys}, {h.k, h.k_pitch}, {dq + first * w, w, query_beta});
    gemm_serial<T>(keys, a.qk_dim, rows, {dp, keys, Transpose::yes}, {h.q + first * h.q_pitch, h.q_pitch},
                   {dk, w, key_beta});
    gemm_serial<T>(keys, a.v_dim, rows, {p, keys, Transpose::yes}, {dy_rows, out}, {dv, w, key_beta});
  }
};

template <class T>
void backward_cpu(const Attention& a, const Attention::Saved& saved, const Tensor& dy, const Grad& dqkv) {
  ThreadPool& pool = dy.context().pool();
  const std::int64_t w = a.width(), out = a.heads * a.v_dim, group = a.heads / a.kv_heads;
  const std::int64_t plane = kQueries * a.seq;
  const Tensor scratch =
      Tensor::empty(dy.context(), {pool.size(), 2 * plane}, dy.dtype(), MemoryCategory::scratch);
  pool.run(a.batch * a.kv_heads, [&](std::int64_t task) {
    const std::int64_t sequence = task / a.kv_heads, kv = task % a.kv_heads, row = sequence * a.seq;
    T* const p = scratch.data<T>() + ThreadPool::thread_index() * 2 * plane;
    T* const gradient = dqkv.dst.data<T>() + row * w;
    double key_beta = dqkv.beta;
    for (std::int64_t head = kv * group; head < (kv + 1) * group; ++head) {
      const Head<T> h = head_of(a, saved.qkv.data<const T>(), sequence, head);
      const BackwardBlock<T> block{a,
                                   saved.y.data<const T>() + row * out + head * a.v_dim,
                                   dy.data<const T>() + row * out + head * a.v_dim,
                                   saved.log_sum.data<const T>() + row * a.heads + head,
                                   gradient + head * a.qk_dim,
                                   gradient + (a.heads + kv) * a.qk_dim,
                                   gradient + (a.heads + a.kv_heads) * a.qk_dim + kv * a.v_dim,
                                   p,
                                   p + plane};
      // The last block sees every key, so it goes first: it alone carries the destination's beta.
      for (std::int64_t first = (a.seq - 1) / kQueries * kQueries; first >= 0; first -= kQueries) {
        block.run(h, first, std::min(kQueries, a.seq - first), dqkv.beta, std::exchange(key_beta, 1.0));
      }
    }
  });
}

void forward_dispatch(const Attention& a, const Tensor& qkv, const Tensor& y, const Tensor* log_sum) {
  dispatch_float(qkv.dtype(), [&]<class T>() { forward_cpu<T>(a, qkv, y, log_sum); });
}
void backward_dispatch(const Attention& a, const Attention::Saved& saved, const Tensor& dy,
                       const Grad& dqkv) {
  dispatch_float(dy.dtype(), [&]<class T>() { backward_cpu<T>(a, saved, dy, dqkv); });
}

void check(const Attention& a, const Tensor& qkv) {
  GRANULE_CHECK(a.kv_heads > 0 && a.heads % a.kv_heads == 0, "attention: {} heads over {} key-value heads",
                a.heads, a.kv_heads);
  GRANULE_CHECK(qkv.shape() == Shape({a.batch * a.seq, a.width()}),
                "attention: qkv is {}, {} sequences of {} tokens need [{}, {}]", qkv.shape().str(), a.batch,
                a.seq, a.batch * a.seq, a.width());
}

}  // namespace

constinit KernelSlot<void(const Attention&, const Tensor&, const Tensor&, const Tensor*)>
    Attention::forward_kernel{"attention", forward_dispatch};
constinit KernelSlot<void(const Attention&, const Attention::Saved&, const Tensor&, const Grad&)>
    Attention::backward_kernel{"attention backward", backward_dispatch};

Tensor Attention::forward(Saved* saved, const Tensor& qkv_NW) const {
  check(*this, qkv_NW);
  Tensor y = qkv_NW.empty_like({batch * seq, heads * v_dim});
  Tensor log_sum;
  if (saved != nullptr) log_sum = qkv_NW.empty_like({batch * seq, heads});
  forward_kernel(qkv_NW.device(), *this, qkv_NW, y, saved != nullptr ? &log_sum : nullptr);
  if (saved != nullptr) *saved = {qkv_NW, y, log_sum};
  return y;
}

void Attention::backward(const Saved& saved, const Tensor& dy_NO, const Grad& dqkv_NW) const {
  if (!dqkv_NW) return;
  backward_kernel(dy_NO.device(), *this, saved, dy_NO, dqkv_NW);
}

Tensor attend_with_cache(const Attention& attention, const Tensor& qkv_NW, KvCache& cache) {
  check(attention, qkv_NW);
  const Attention& a = attention;
  const std::int64_t past = cache.length, total = past + a.seq, w = a.width();
  GRANULE_CHECK(a.batch == 1, "attention with a cache: {} sequences, one is supported", a.batch);
  GRANULE_CHECK(total <= cache.keys.shape()[0], "attention: {} tokens, the cache holds {}", total,
                cache.keys.shape()[0]);
  Tensor y = qkv_NW.empty_like({a.seq, a.heads * a.v_dim});
  const Tensor scratch =
      Tensor::empty(y.context(), {a.heads, a.seq * total}, y.dtype(), MemoryCategory::scratch);
  dispatch_float(y.dtype(), [&]<class T>() {
    const std::int64_t key_width = a.kv_heads * a.qk_dim, value_width = a.kv_heads * a.v_dim;
    const T* const rows = qkv_NW.data<const T>();
    T *const keys = cache.keys.data<T>(), *const values = cache.values.data<T>();
    for (std::int64_t i = 0; i < a.seq; ++i) {
      const T* const key = rows + i * w + a.heads * a.qk_dim;
      std::copy_n(key, key_width, keys + (past + i) * key_width);
      std::copy_n(key + key_width, value_width, values + (past + i) * value_width);
    }
    y.context().pool().run(a.heads, [&](std::int64_t head) {
      const std::int64_t kv = head / (a.heads / a.kv_heads);
      const Head<T> h{
          rows + head * a.qk_dim, keys + kv * a.qk_dim, values + kv * a.v_dim, w, key_width, value_width};
      forward_block<T>(a, h, past, 0, a.seq, scratch.data<T>() + head * a.seq * total,
                       y.data<T>() + head * a.v_dim, a.heads * a.v_dim, nullptr, 0);
    });
  });
  cache.length = total;
  return y;
}

}  // namespace granule
