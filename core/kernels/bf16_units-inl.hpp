// The kernels of the processor's bf16 units: rows of A times a packed panel of B. Highway does not have these
// instructions. Code that calls them must have asked has_bf16_units(). It is not an interface.
#pragma once
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/kernels/bf16_panels-inl.hpp"
#include "core/kernels/bf16_support.hpp"
#include "core/kernels/bf16_tiles-inl.hpp"
#include "core/kernels/gemm.hpp"
#include "core/kernels/transpose.hpp"

#ifdef GRANULE_BF16
namespace granule::bf16_units {

/// Pairs along k of the rows of A. Pair p of row i is at data + i · row + p · pair.
struct Pairs {
  const bf16* data;
  std::int64_t row, pair;
};

/// A vector that repeats one pair.
GRANULE_BF16_INLINE __m512bh repeated(const bf16* pair) {
  std::int32_t bits;
  __builtin_memcpy(&bits, pair, sizeof(bits));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(bits));
}

/// Numbers of B that the next panel needs. Step p of a product asks the memory for first + p · step, and the
/// same from `second` on. One request in each step is free, where all at once would wait.
struct Ahead {
  const bf16 *first, *second;
  std::int64_t step;
};

/// `sums` [R, kColumns] = A's R rows times a panel of `pairs` pairs of rows of B, [pairs, kColumns, 2]. Sums
/// of an earlier panel are added to.
template <std::size_t R>
GRANULE_BF16 void multiply_rows(Pairs a, const bf16* panel, std::int64_t pairs, bool add, Ahead ahead,
                                float* sums) {
  __m512 left[R], right[R];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < R; ++i) {
    const float* const from = sums + static_cast<std::int64_t>(i) * kColumns;
    left[i] = add ? _mm512_loadu_ps(from) : _mm512_setzero_ps();
    right[i] = add ? _mm512_loadu_ps(from + kLanes) : _mm512_setzero_ps();
  }
  for (std::int64_t p = 0; p < pairs; ++p) {
    const auto b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + p * 2 * kColumns));
    const auto b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + p * 2 * kColumns + 2 * kLanes));
    const bf16* const at = a.data + p * a.pair;
    _mm_prefetch(ahead.first + p * ahead.step, _MM_HINT_T0);
    _mm_prefetch(ahead.second + p * ahead.step, _MM_HINT_T0);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < R; ++i) {
      const __m512bh x = repeated(at + static_cast<std::int64_t>(i) * a.row);
      left[i] = _mm512_dpbf16_ps(left[i], x, b0);
      right[i] = _mm512_dpbf16_ps(right[i], x, b1);
    }
  }
#pragma GCC unroll 16
  for (std::size_t i = 0; i < R; ++i) {
    _mm512_storeu_ps(sums + static_cast<std::int64_t>(i) * kColumns, left[i]);
    _mm512_storeu_ps(sums + static_cast<std::int64_t>(i) * kColumns + kLanes, right[i]);
  }
}

using MultiplyRows = void (*)(Pairs, const bf16*, std::int64_t, bool, Ahead, float*);
template <std::size_t... I>
constexpr std::array<MultiplyRows, kRows + 1> kernels_of(std::index_sequence<I...>) {
  return {nullptr, multiply_rows<I + 1>...};
}
/// By the number of rows.
inline constexpr auto kMultiplyRows = kernels_of(std::make_index_sequence<kRows>());

/// `sums` [m, kColumns] = A times a panel, added to those of an earlier panel. Tiles multiply all terms but
/// the last few, and vectors the others. `ahead(i)` is what the i-th kRows rows ask for if vectors multiply
/// them.
template <class AheadOf>
void multiply_panel(Bf16Units units, std::int64_t m, Pairs a, const bf16* panel, std::int64_t pairs, bool add,
                    const AheadOf& ahead, float* sums) {
  std::int64_t done = 0;
  if (units == Bf16Units::tiles && pairs >= kTilePairs) {
    done = pairs / kTilePairs * kTilePairs;
    multiply_by_tiles(m, a.data, a.row, panel, done / kTilePairs, add, sums);
  }
  if (done == pairs) return;
  const bf16* const start = a.data + done * a.pair;
  for (std::int64_t i = 0; i < m; i += kRows) {
    const auto rows = static_cast<std::size_t>(std::min(kRows, m - i));
    kMultiplyRows[rows]({start + i * a.row, a.row, a.pair}, panel + done * 2 * kColumns, pairs - done,
                        add || done > 0, ahead(i / kRows), sums + i * kColumns);
  }
}

/// Whether rows of this many elements begin at so few places of the cache that fourteen of them do not fit.
inline bool collides(std::int64_t pitch) {
  return pitch * 2 % 2048 == 0;
}

/// All of A in pairs, for all columns of C. It is read where it is if its rows are along k and fit the cache.
/// For tiles, pairs of a row follow each other.
inline Pairs pairs_of(Bf16Units units, std::int64_t m, std::int64_t k, MatrixIn<bf16> a,
                      std::vector<bf16>& buffer) {
  if (a.transpose == Transpose::no && k % 2 == 0 && !collides(a.pitch)) return {a.data, a.pitch, 2};
  const std::int64_t width = k + k % 2, pitch = collides(width) ? width + 32 : width;
  buffer.resize(static_cast<std::size_t>(pitch * m));
  if (a.transpose == Transpose::yes) {
    pack_rows(a.data, a.pitch, k, m, m, buffer.data());
    if (units != Bf16Units::tiles) return {buffer.data(), 2, 2 * m};
    // A pair has the size of a float, and pairs are transposed as such.
    thread_local std::vector<float> transposed;
    transposed.resize(static_cast<std::size_t>(pitch / 2 * m));
    transpose(pitch / 2, m, reinterpret_cast<const float*>(buffer.data()), m, transposed.data());
    return {reinterpret_cast<const bf16*>(transposed.data()), pitch, 2};
  }
  for (std::int64_t i = 0; i < m; ++i) {
    std::copy_n(a.data + i * a.pitch, k, buffer.data() + i * pitch);
    if (width > k) buffer[static_cast<std::size_t>(i * pitch + k)] = bf16(0.0F);
  }
  return {buffer.data(), pitch, 2};
}

GRANULE_BF16_INLINE void write(__m512 sum, float* to, __mmask16 lanes, bool add) {
  if (add) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, to), sum);
  _mm512_mask_storeu_ps(to, lanes, sum);
}
GRANULE_BF16_INLINE void write(__m512 sum, bf16* to, __mmask16 lanes, bool add) {
  if (add) {
    const __m512i before = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, to));
    sum = _mm512_add_ps(_mm512_castsi512_ps(_mm512_slli_epi32(before, 16)), sum);
  }
  _mm256_mask_storeu_epi16(to, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sum)));
}

/// Writes the sums of some columns of C.
template <class Out>
GRANULE_BF16 void write_columns(std::int64_t m, std::int64_t columns, const float* sums, MatrixOut<Out> c) {
  for (std::int64_t j = 0; j < columns; j += kLanes) {
    const auto lanes = static_cast<__mmask16>((1U << std::min(kLanes, columns - j)) - 1U);
    for (std::int64_t i = 0; i < m; ++i)
      write(_mm512_loadu_ps(sums + i * kColumns + j), c.data + i * c.pitch + j, lanes, c.beta != 0.0);
  }
}

}  // namespace granule::bf16_units
#endif
