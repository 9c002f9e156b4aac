// A tile of C = A B in registers, by which packed_gemm.cpp computes whole products. Include it inside a
// foreach_target file. It is not an interface between translation units.
#include <array>
#include <utility>

#include <hwy/cache_control.h>

#include "core/kernels/packed_gemm.hpp"
#include "core/kernels/panels-inl.hpp"

#if defined(GRANULE_CORE_KERNELS_PACKED_TILE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GRANULE_CORE_KERNELS_PACKED_TILE_INL_HPP
#undef GRANULE_CORE_KERNELS_PACKED_TILE_INL_HPP
#else
#define GRANULE_CORE_KERNELS_PACKED_TILE_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

// A tile of C has kRows rows and one or two vectors of columns. It stays in registers, together with two
// vectors of B and one element of A.
constexpr int kRows = kLanes == 16 ? 14 : 6;
constexpr std::int64_t kPanel = 2 * kLanes;
// Elements of a line of the cache.
constexpr std::int64_t kLine = 16;
// Terms of a sum that are added in registers.
constexpr std::int64_t kDepth = 512;
static_assert(kLeftPitch >= kDepth);

/// Memory that is needed soon. With every kRows-th term a tile asks for `lines` lines of it, `step` elements
/// apart. The next time these begin `advance` elements later.
struct Soon {
  const float* first = nullptr;
  std::int64_t lines = 0, step = 0, advance = 0;
};

struct TileArgs {
  std::int64_t k;
  const float *a, *b;    // rows of a are kLeftPitch apart, and b is a packed panel
  std::int64_t b_pitch;  // a panel may have more vectors than are needed
  float* c;
  std::int64_t pitch, columns;  // of c
  Store store;
  // The rows of A for the next tile. The tile asks for a line of one of them with every term.
  MatrixIn<float> next_rows;
  Soon next_panel;
};

/// Stores a vector of which only some columns may belong to C.
HWY_INLINE void store_part(Store store, hn::Vec<Vectors> value, float* to, std::int64_t columns) {
  const Vectors d;
  columns = std::min(columns, kLanes);
  if (store == Store::add) value = hn::Add(value, load_first(d, to, columns));
  store_first(value, d, to, columns);
}

/// c (+)= sum. Columns of c beyond `columns` are left as they are.
template <int kTileRows, int kVectors>
HWY_INLINE void write_tile(const TileArgs& t, const hn::Vec<Vectors> (&sum)[kTileRows][kVectors]) {
  const Vectors d;
  const auto write = [&](const auto& store) HWY_ATTR {
    float* to = t.c;
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r, to += t.pitch) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store(sum[r][v], to + v * kLanes, t.columns - v * kLanes);
    }
  };
  // A branch for each vector would take longer than the sums of few terms.
  if (t.columns < kVectors * kLanes) {
    write([&](auto value, float* to, std::int64_t columns)
              HWY_ATTR { store_part(t.store, value, to, columns); });
  } else if (t.store == Store::add) {
    write([&](auto value, float* to, std::int64_t)
              HWY_ATTR { hn::StoreU(hn::Add(value, hn::LoadU(d, to)), d, to); });
  } else {
    write([&](auto value, float* to, std::int64_t) HWY_ATTR { hn::StoreU(value, d, to); });
  }
}

/// c (+)= a b. Columns of c beyond `columns` are left as they are.
template <int kTileRows, int kVectors>
void tile(const TileArgs& t) {
  const Vectors d;
  hn::Vec<Vectors> sum[kTileRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
    hwy::Prefetch(t.c + r * t.pitch);
    hwy::Prefetch(t.c + r * t.pitch + kLanes);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  const float *a = t.a, *b = t.b;
  const auto add_term = [&]() HWY_ATTR {
    hn::Vec<Vectors> right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) right[v] = hn::Load(d, b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const auto left = hn::Set(d, a[r * kLeftPitch]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(left, right[v], sum[r][v]);
    }
    ++a;
    b += t.b_pitch;
  };
  const float *rows = t.next_rows.data, *panel = t.next_panel.first;
  std::int64_t p = 0;
  for (; p + kRows <= t.k; p += kRows, rows += kRows, panel += t.next_panel.advance) {
    // A panel has no place in the first level of cache, and is found in the second when it is needed. But
    // requests for the second level alone bring less of what lies in memory.
    for (std::int64_t i = 0; i < t.next_panel.lines; ++i) hwy::Prefetch(panel + i * t.next_panel.step);
    const float* row = rows;
    for (int i = 0; i < kRows; ++i, row += t.next_rows.pitch) {
      hwy::Prefetch(row);
      add_term();
    }
  }
  for (; p < t.k; ++p) add_term();
  write_tile(t, sum);
}

template <int kVectors, int... kSmaller>
constexpr auto tiles_of(std::integer_sequence<int, kSmaller...>) {
  return std::array{&tile<kSmaller + 1, kVectors>...};
}
/// Tiles of 1 to kRows rows.
template <int kVectors>
constexpr auto kTiles = tiles_of<kVectors>(std::make_integer_sequence<int, kRows>());

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
