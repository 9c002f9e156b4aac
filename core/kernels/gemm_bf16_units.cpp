#include "core/kernels/gemm_bf16_units.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/kernels/bf16_units-inl.hpp"
#include "core/kernels/ceiling.hpp"

namespace granule {

#ifdef GRANULE_BF16

using namespace bf16_units;

namespace {

/// A block of B: `depth` of its rows and at most kColumns of its columns.
struct Block {
  MatrixIn<bf16> b;
  std::int64_t from, depth, column, columns;

  [[nodiscard]] const bf16* start() const {
    return b.transpose == Transpose::yes ? b.data + column * b.pitch + from
                                         : b.data + from * b.pitch + column;
  }
  void pack(bf16* panel) const {
    if (b.transpose == Transpose::yes) {
      pack_columns(start(), b.pitch, depth, columns, panel);
    } else {
      pack_rows(start(), b.pitch, depth, columns, kColumns, panel);
    }
  }
  /// What the product of the `index`-th kRows rows of A asks for. Each asks for two rows of Bᵀ, or the first
  /// for all rows of B.
  [[nodiscard]] Ahead ahead(std::int64_t index) const {
    if (b.transpose == Transpose::no) return {start(), start() + b.pitch, index == 0 ? 2 * b.pitch : 0};
    const std::int64_t row = std::min(2 * index, columns - 1), second = std::min(row + 1, columns - 1);
    return {start() + row * b.pitch, start() + second * b.pitch, 2};
  }
};

/// sums [m, kColumns] = A times a block, added to those of earlier blocks of its columns. `next` is the block
/// that follows.
void multiply_block(Bf16Units units, std::int64_t m, Pairs a, const Block& block, const Block& next,
                    float* sums) {
  alignas(64) bf16 panel[kDepth * kColumns];
  block.pack(panel);
  a.data += block.from / 2 * a.pair;
  multiply_panel(
      units, m, a, panel, (block.depth + 1) / 2, block.from > 0,
      [&](std::int64_t index) { return next.ahead(index); }, sums);
}

/// A vector of one number.
GRANULE_BF16_INLINE __m512bh filled(bf16 value) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi16(static_cast<std::int16_t>(value.bits)));
}

template <std::size_t kChains>
GRANULE_BF16 void advance(std::int64_t rounds, bf16 factor, bf16 term, float* values) {
  __m512 sums[kChains];
  const __m512bh x = filled(factor), y = filled(term);
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kChains; ++i)
    sums[i] = _mm512_loadu_ps(values + static_cast<std::int64_t>(i) * kLanes);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], x, y);
  }
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kChains; ++i)
    _mm512_storeu_ps(values + static_cast<std::int64_t>(i) * kLanes, sums[i]);
}

}  // namespace

template <class Out>
void gemm_bf16_units(Bf16Units units, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a,
                     MatrixIn<bf16> b, MatrixOut<Out> c) {
  thread_local std::vector<bf16> packed;
  thread_local std::vector<float> sums;
  const Pairs pairs = pairs_of(units, m, k, a, packed);
  sums.resize(static_cast<std::size_t>(m * kColumns));
  const auto block_at = [&](std::int64_t column, std::int64_t from) {
    return Block{b, from, std::min(kDepth, k - from), column, std::min(kColumns, n - column)};
  };
  for (Block block = block_at(0, 0); block.column < n;) {
    const std::int64_t end = block.from + block.depth, column = block.column + kColumns;
    Block next = block;  // after the last one, nothing new is asked for
    if (end < k) next = block_at(block.column, end);
    if (end == k && column < n) next = block_at(column, 0);
    multiply_block(units, m, pairs, block, next, sums.data());
    if (end == k) write_columns<Out>(m, block.columns, sums.data(), {c.data + block.column, c.pitch, c.beta});
    if (end == k && column >= n) return;
    block = next;
  }
}

Bf16Chain bf16_chain(Bf16Units units) {
  return units == Bf16Units::tiles ? Bf16Chain{kTileSums, 2 * kTilePairs} : Bf16Chain{kLanes, 2};
}

void advance_bf16(Bf16Units units, std::int64_t rounds, std::int64_t chains, bf16 factor, bf16 term,
                  float* values) {
  if (units != Bf16Units::tiles)
    return with_chains(chains,
                       [&]<std::size_t kChains>() { advance<kChains>(rounds, factor, term, values); });
  std::vector<bf16> x(2 * kTileSums, factor), y(2 * kTileSums, term);
  for (std::int64_t done = 0; done < chains; done += kTilesAtOnce)
    advance_tiles(std::min(kTilesAtOnce, chains - done), rounds, x.data(), y.data(),
                  values + done * kTileSums);
}

#else

template <class Out>
void gemm_bf16_units(Bf16Units, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                     MatrixOut<Out>) {
  GRANULE_ASSERT(false, "this program cannot use bf16 units");
}
Bf16Chain bf16_chain(Bf16Units) {
  return {};
}
void advance_bf16(Bf16Units, std::int64_t, std::int64_t, bf16, bf16, float*) {
  GRANULE_ASSERT(false, "this program cannot use bf16 units");
}

#endif

template void gemm_bf16_units(Bf16Units, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>,
                              MatrixIn<bf16>, MatrixOut<float>);
template void gemm_bf16_units(Bf16Units, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>,
                              MatrixIn<bf16>, MatrixOut<bf16>);

}  // namespace granule
