// How the bf16 units get their operands: two numbers that follow each other along k are a pair. It is not an
// interface; bf16_units-inl.hpp has the products.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#ifndef __clang__
// GCC 12 warns of values in its own header that are meant to be undefined, wherever its functions are
// inlined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#define GRANULE_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define GRANULE_BF16_INLINE GRANULE_BF16 __attribute__((always_inline)) inline

namespace granule::bf16_units {

inline constexpr std::int64_t kLanes = 16;            // sums of a vector
inline constexpr std::int64_t kColumns = 2 * kLanes;  // of a block of C
inline constexpr std::int64_t kRows = 14;    // of a block: with two vectors of B, all 32 registers but two
inline constexpr std::int64_t kDepth = 512;  // of a panel of B, which stays in the first cache

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

}  // namespace granule::bf16_units
#endif
