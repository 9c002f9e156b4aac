// How the right operand of a product is packed: columns side by side, so that one vector has the same term of
// several columns. Include it inside a foreach_target file. It is not an interface between translation units.
#include <algorithm>
#include <array>

#include "core/kernels/fetch_row.hpp"
#include "core/kernels/simd-inl.hpp"

#if defined(GRANULE_CORE_KERNELS_PANELS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GRANULE_CORE_KERNELS_PANELS_INL_HPP
#undef GRANULE_CORE_KERNELS_PANELS_INL_HPP
#else
#define GRANULE_CORE_KERNELS_PANELS_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

using Vectors = hn::ScalableTag<float>;
constexpr std::int64_t kLanes = HWY_LANES(float);

#if HWY_TARGET == HWY_SCALAR
inline std::int64_t transpose_fours(const float* const* /*rows*/, std::int64_t /*k*/, float* /*out*/,
                                    std::int64_t /*pitch*/) {
  return 0;
}
#else
/// One row each of as many blocks of 16 bytes as a vector has, from `rows` a block's lanes apart.
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const float* const* rows, std::int64_t p) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, rows[0] + p);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_blocks(half, rows + hn::MaxLanes(half), p), load_blocks(half, rows, p));
  }
}

/// The columns that transpose_rows can take four at a time; returns their number.
inline std::int64_t transpose_fours(const float* const* rows, std::int64_t k, float* out,
                                    std::int64_t pitch) {
  const Vectors d;
  const hn::Repartition<double, Vectors> pairs;
  const auto wide = [=](auto v) HWY_ATTR { return hn::BitCast(pairs, v); };
  std::int64_t p = 0;
  for (; p + 4 <= k; p += 4, out += 4 * pitch) {
    const auto row0 = load_blocks(d, rows, p), row1 = load_blocks(d, rows + 1, p),
               row2 = load_blocks(d, rows + 2, p), row3 = load_blocks(d, rows + 3, p);
    const auto low01 = wide(hn::InterleaveLower(d, row0, row1)),
               low23 = wide(hn::InterleaveLower(d, row2, row3)),
               high01 = wide(hn::InterleaveUpper(d, row0, row1)),
               high23 = wide(hn::InterleaveUpper(d, row2, row3));
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, out);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, out + pitch);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, out + 2 * pitch);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, out + 3 * pitch);
  }
  return p;
}
#endif

/// out[p · pitch + i] = rows[i][p] for kLanes rows.
inline void transpose_rows(const float* const* rows, std::int64_t k, float* out, std::int64_t pitch) {
  for (std::int64_t p = transpose_fours(rows, k, out, pitch); p < k; ++p) {
    for (std::int64_t i = 0; i < kLanes; ++i) out[p * pitch + i] = rows[i][p];
  }
}

/// The same for the first `count` rows of a matrix, up to kLanes. Rows after the last one are copies of it.
inline void transpose_lines(const float* from, std::int64_t from_pitch, std::int64_t count, std::int64_t k,
                            float* out, std::int64_t pitch) {
  std::array<const float*, static_cast<std::size_t>(kLanes)> rows;
  for (std::int64_t i = 0; i < kLanes; ++i)
    rows[static_cast<std::size_t>(i)] = from + std::min(i, count - 1) * from_pitch;
  transpose_rows(rows.data(), k, out, pitch);
}

/// The same for `count` rows. Columns of the result up to its pitch are copies of the last one.
inline void transpose_part(const float* from, std::int64_t from_pitch, std::int64_t count, std::int64_t k,
                           float* out, std::int64_t pitch) {
  for (std::int64_t first = 0; first < pitch; first += kLanes) {
    const std::int64_t row = std::min(first, count - 1);
    // The processor fetches what follows in a row by itself. Tiles have asked for a panel that is packed
    // between them.
    constexpr std::int64_t kMost = 16;
    for (std::int64_t next = row + kLanes; next < row + 2 * kLanes; ++next)
      fetch_row(from + next * from_pitch, std::min(k, kMost));
    transpose_lines(from + row * from_pitch, from_pitch, count - row, k, out + first, pitch);
  }
}

/// out[p · pitch + i] = from[p · from_pitch + i] for i < count, and zeros up to `pitch`.
inline void copy_part(const float* from, std::int64_t from_pitch, std::int64_t count, std::int64_t k,
                      float* out, std::int64_t pitch) {
  const Vectors d;
  constexpr std::int64_t kAhead = 16;
  for (std::int64_t p = 0; p < k; ++p, from += from_pitch, out += pitch) {
    fetch_row(from + kAhead * from_pitch, pitch);
    for (std::int64_t i = 0; i < pitch; i += kLanes) {
      const std::int64_t rest = count - i;
      hn::Store(
          rest >= kLanes ? hn::LoadU(d, from + i) : load_first(d, from + i, std::max<std::int64_t>(rest, 0)),
          d, out + i);
    }
  }
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
