// What attention over whole sequences, its gradient and attention with a cache share: one head, one block of
// queries, its part of forward, and the check of their shapes.
#pragma once
#include <algorithm>
#include <cmath>

#include "core/allocator.hpp"
#include "core/kernels/convert.hpp"
#include "core/kernels/right_operand.hpp"
#include "core/kernels/softmax.hpp"
#include "core/ops/attention.hpp"

namespace granule::attention {

inline void check_qkv(const Attention& a, const Tensor& qkv) {
  GRANULE_CHECK(a.kv_heads > 0 && a.heads % a.kv_heads == 0, "attention: {} heads over {} key-value heads",
                a.heads, a.kv_heads);
  GRANULE_CHECK(qkv.shape() == Shape({a.batch * a.seq, a.width()}),
                "attention: qkv is {}, {} sequences of {} tokens need [{}, {}]", qkv.shape().str(), a.batch,
                a.seq, a.batch * a.seq, a.width());
}

// For equal sequences, whole products are equal. The product of one generated token must be fast instead.
inline constexpr OneRow kOneRow = OneRow::alone;

/// Pointers into the matrices of one sequence and one query head; rows are `pitch` elements apart.
template <class T>
struct AttentionHead {
  const T *q, *k, *v;
  std::int64_t q_pitch, k_pitch, v_pitch;
  /// Stored for the products of all blocks of queries. Attention with a cache has them only as they are.
  RightOperand<T> k_transposed{}, v_transposed{}, k_stored{}, v_stored{};
};

template <class T>
AttentionHead<T> head_of(const Attention& a, const T* qkv, std::int64_t sequence, std::int64_t head) {
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

/// Cuts parts from memory that is aligned to kAlignment, or only counts them if there is none.
class Cutter {
 public:
  explicit Cutter(std::byte* memory) : memory_(memory) {}
  template <class T>
  [[nodiscard]] T* take(std::int64_t elements) {
    const std::int64_t at = bytes_;
    bytes_ += align_up(elements * static_cast<std::int64_t>(sizeof(T)));
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + at);
  }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  std::int64_t bytes_ = 0;
};

/// Elements from one query's scores to the next query's, for blocks that see up to `keys` keys. In float32,
/// rows begin at lines of the cache, do not share its sets, and have whole panels of keys. Up to 512 keys,
/// products read them where they lie.
[[nodiscard]] constexpr std::int64_t score_pitch(std::int64_t keys) {
  const std::int64_t panels = (keys + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  return std::max(kLeftPitch, panels + 16);
}

inline constexpr std::int64_t kQueries = 32;  // rows of P held at once
// Bytes between the scratch of two threads. What one of them fetches ahead would otherwise be the other's.
inline constexpr std::int64_t kGap = 1 << 16;

/// The first keys of one sequence, or nullptr if nothing is masked.
[[nodiscard]] const std::int32_t* first_keys_of(const Attention& a, const Tensor& first_key,
                                                std::int64_t sequence);

/// The key-value heads of all sequences. Heads that follow each other belong to different sequences, if there
/// are several. Neighbouring heads of a token lie beside each other, and threads would wait for that memory.
struct KeyValueHead {
  std::int64_t sequence, head;

  KeyValueHead(const Attention& a, std::int64_t index) : sequence(index % a.batch), head(index / a.batch) {}
};

/// One block of a sequence's queries, and the keys that at least one of them sees. Queries and keys are
/// counted from the sequence's first key.
struct QueryBlock {
  std::int64_t first, rows;       // queries
  const std::int32_t* first_key;  // of every query of the sequence; nullptr means 0
  std::int64_t begin = 0;         // keys [begin, begin + keys)
  std::int64_t keys = 0;

  QueryBlock(std::int64_t first_query, std::int64_t queries, const std::int32_t* first_keys)
      : first(first_query), rows(queries), first_key(first_keys), keys(first_query + queries) {
    if (first_key == nullptr || rows == 0) return;
    // Products begin at a panel of the stored keys.
    begin = *std::min_element(first_key + first, first_key + first + rows) / kPanelColumns * kPanelColumns;
    keys -= begin;
  }
  [[nodiscard]] Range range() const { return {begin, begin + keys}; }
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

/// C = A B for the keys that a block sees, which are terms or columns of B. `as_it_is` is that part of B if B
/// is not stored.
template <class T>
void multiply(std::int64_t m, MatrixIn<T> a, const RightOperand<T>& stored, MatrixIn<T> as_it_is, Range terms,
              Range columns, MatrixOut<Wide<T>> c) {
  if (stored.data != nullptr) return stored.multiply(m, a, terms, columns, c);
  gemm_serial<T, Wide<T>>(m, columns.size(), terms.size(), a, as_it_is, c, kOneRow);
}

/// The block's part of S = Q Kᵀ, unscaled; q points at its first query.
template <class T>
void scores(const Attention& a, const AttentionHead<T>& h, const QueryBlock& b, const T* q,
            MatrixOut<Wide<T>> s) {
  const MatrixIn<T> keys{h.k + b.begin * h.k_pitch, h.k_pitch, Transpose::yes};
  multiply<T>(b.rows, {q, h.q_pitch}, h.k_transposed, keys, {0, a.qk_dim}, b.range(), s);
}

/// Scratch of a block's part of forward, cut from `memory`: scores, the sums of their exponentials, and in
/// bf16 the rounded exponentials and rows of y before they are rounded.
template <class T>
struct ForwardScratch {
  Wide<T>*p, *inverse, *y;
  T* rounded;
  std::int64_t pitch;  // of rows of scores
  std::int64_t bytes;

  ForwardScratch(const Attention& a, std::int64_t rows, std::int64_t keys, std::byte* memory) {
    constexpr bool kRounds = !std::is_same_v<T, Wide<T>>;
    Cutter cut(memory);
    pitch = score_pitch(keys);
    p = cut.take<Wide<T>>(rows * pitch);
    inverse = cut.take<Wide<T>>(rows);
    y = cut.take<Wide<T>>(kRounds ? rows * a.v_dim : 0);
    rounded = cut.take<T>(kRounds ? rows * pitch : 0);
    bytes = cut.bytes();
  }
};

/// q, y and log_sum (or nullptr) point at the block's first query. Rows of y have fewer elements than rows of
/// P, so they and not P are divided by the sums.
template <class T>
void forward_block(const Attention& a, const AttentionHead<T>& h, const QueryBlock& b, const T* q,
                   const ForwardScratch<T>& scratch, T* y, Wide<T>* log_sum) {
  using W = Wide<T>;
  scores(a, h, b, q, {scratch.p, scratch.pitch});
  for (std::int64_t i = 0; i < b.rows; ++i) {
    W* const row = scratch.p + i * scratch.pitch;
    const ExpSum found = exp_row(row + b.from(i), b.to(i) - b.from(i), scale_of<W>(a));
    b.hide(i, row);
    scratch.inverse[i] = static_cast<W>(1.0 / found.sum);
    if (log_sum != nullptr) log_sum[i * a.heads] = static_cast<W>(found.log_sum);
    if constexpr (std::is_same_v<T, bf16>) round_row(row, b.keys, scratch.rounded + i * scratch.pitch);
  }
  const std::int64_t pitch = a.heads * a.v_dim;
  const MatrixIn<T> values{h.v + b.begin * h.v_pitch, h.v_pitch};
  const auto sum_values = [&](const T* p, MatrixOut<W> sums) {
    multiply<T>(b.rows, {p, scratch.pitch}, h.v_stored, values, b.range(), {0, a.v_dim}, sums);
  };
  const auto divide = [&](MatrixIn<W> sums) {
    for (std::int64_t i = 0; i < b.rows; ++i)
      for (std::int64_t c = 0; c < a.v_dim; ++c)
        y[i * pitch + c] = static_cast<T>(sums.data[i * sums.pitch + c] * scratch.inverse[i]);
  };
  if constexpr (std::is_same_v<T, bf16>) {
    sum_values(scratch.rounded, {scratch.y, a.v_dim});
    divide({scratch.y, a.v_dim});
  } else {
    sum_values(scratch.p, {y, pitch});
    divide({y, pitch});
  }
}

}  // namespace granule::attention
