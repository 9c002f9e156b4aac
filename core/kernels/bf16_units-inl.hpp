// The kernels of the processor's bf16 units (AVX512-BF16): rows of A times a packed panel of B. Highway does
// not have these instructions. Code that calls them must have asked has_bf16_units(). It is not an interface.
#pragma once
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/kernels/gemm.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
// GCC 12 warns of values in its own header that are meant to be undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#define GRANULE_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define GRANULE_BF16_INLINE GRANULE_BF16 __attribute__((always_inline)) inline

namespace granule::bf16_units {

inline constexpr std::int64_t kLanes = 16;            // sums of a vector
inline constexpr std::int64_t kColumns = 2 * kLanes;  // of a block of C
inline constexpr std::int64_t kRows = 14;    // of a block: with two vectors of B, all 32 registers but two
inline constexpr std::int64_t kDepth = 512;  // of a panel of B, which stays in the first cache

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

/// Two rows of 32 numbers into 32 pairs.
GRANULE_BF16_INLINE void interleave(const bf16* first, const bf16* second, bf16* out) {
  const __m512i x = _mm512_loadu_si512(first), y = _mm512_loadu_si512(second);
  const __m512i low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y);
  const __m512i front = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                back = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi64(low, front, high));
  _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi64(low, back, high));
}

/// out[p, i, 2] = x[2p, i], x[2p + 1, i] for `count` columns of [depth, …]. A row after the last is zero, and
/// so are columns up to `width`.
GRANULE_BF16 inline void pack_rows(const bf16* x, std::int64_t pitch, std::int64_t depth, std::int64_t count,
                                   std::int64_t width, bf16* out) {
  for (std::int64_t p = 0; 2 * p < depth; ++p, out += 2 * width) {
    const bf16 *const first = x + 2 * p * pitch, *const second = 2 * p + 1 < depth ? first + pitch : nullptr;
    std::int64_t i = 0;
    for (; second != nullptr && i + 32 <= count; i += 32) interleave(first + i, second + i, out + 2 * i);
    for (; i < width; ++i) {
      out[2 * i] = i < count ? first[i] : bf16(0.0F);
      out[2 * i + 1] = i < count && second != nullptr ? second[i] : bf16(0.0F);
    }
  }
}

/// Transposes 16 × 16 pairs: row i of the result has pair i of all rows.
GRANULE_BF16_INLINE void transpose_pairs(const bf16* x, std::int64_t pitch, bf16* out,
                                         std::int64_t out_pitch) {
  __m512i row[16], mixed[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) row[i] = _mm512_loadu_si512(x + i * pitch);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    mixed[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    mixed[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    row[i] = _mm512_unpacklo_epi64(mixed[i], mixed[i + 2]);
    row[i + 1] = _mm512_unpackhi_epi64(mixed[i], mixed[i + 2]);
    row[i + 2] = _mm512_unpacklo_epi64(mixed[i + 1], mixed[i + 3]);
    row[i + 3] = _mm512_unpackhi_epi64(mixed[i + 1], mixed[i + 3]);
  }
  // Now each quarter of row[4g + c] has pair c of its quarter, of rows 4g … 4g + 3.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512i a = _mm512_shuffle_i32x4(row[c], row[4 + c], 0x88),
                  b = _mm512_shuffle_i32x4(row[c], row[4 + c], 0xDD),
                  d = _mm512_shuffle_i32x4(row[8 + c], row[12 + c], 0x88),
                  e = _mm512_shuffle_i32x4(row[8 + c], row[12 + c], 0xDD);
    _mm512_storeu_si512(out + c * out_pitch, _mm512_shuffle_i32x4(a, d, 0x88));
    _mm512_storeu_si512(out + (4 + c) * out_pitch, _mm512_shuffle_i32x4(b, e, 0x88));
    _mm512_storeu_si512(out + (8 + c) * out_pitch, _mm512_shuffle_i32x4(a, d, 0xDD));
    _mm512_storeu_si512(out + (12 + c) * out_pitch, _mm512_shuffle_i32x4(b, e, 0xDD));
  }
}

/// out[p, j, 2] = x[j, 2p], x[j, 2p + 1] for `count` rows of [width, depth], with zeros up to kColumns.
GRANULE_BF16 inline void pack_columns(const bf16* x, std::int64_t pitch, std::int64_t depth,
                                      std::int64_t count, bf16* out) {
  for (std::int64_t j = 0; j < kColumns; j += kLanes) {
    std::int64_t p = 0;
    for (; j + kLanes <= count && 2 * (p + 16) <= depth; p += 16)
      transpose_pairs(x + j * pitch + 2 * p, pitch, out + (p * kColumns + j) * 2, 2 * kColumns);
    for (; 2 * p < depth; ++p) {
      for (std::int64_t i = j; i < j + kLanes; ++i) {
        bf16* const pair = out + (p * kColumns + i) * 2;
        pair[0] = i < count ? x[i * pitch + 2 * p] : bf16(0.0F);
        pair[1] = i < count && 2 * p + 1 < depth ? x[i * pitch + 2 * p + 1] : bf16(0.0F);
      }
    }
  }
}

/// Whether rows of this many elements begin at so few places of the cache that fourteen of them do not fit.
inline bool collides(std::int64_t pitch) {
  return pitch * 2 % 2048 == 0;
}

/// All of A in pairs, for all columns of C. It is read where it is if its rows are along k and fit the cache.
inline Pairs pairs_of(std::int64_t m, std::int64_t k, MatrixIn<bf16> a, std::vector<bf16>& buffer) {
  if (a.transpose == Transpose::no && k % 2 == 0 && !collides(a.pitch)) return {a.data, a.pitch, 2};
  const std::int64_t width = k + k % 2;
  if (a.transpose == Transpose::yes) {
    buffer.resize(static_cast<std::size_t>(width * m));
    pack_rows(a.data, a.pitch, k, m, m, buffer.data());
    return {buffer.data(), 2, 2 * m};
  }
  const std::int64_t pitch = collides(width) ? width + 32 : width;
  buffer.resize(static_cast<std::size_t>(pitch * m));
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
