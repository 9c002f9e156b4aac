// The kernels of AMX: a tile of sums has 16 rows and 16 columns, and an instruction adds the products of 32
// terms. Code that calls them must have asked has_bf16_units(Bf16Units::tiles). It is not an interface.
#pragma once
#include <algorithm>
#include <array>

#include "core/kernels/bf16_panels-inl.hpp"

#ifdef GRANULE_BF16
#define GRANULE_AMX __attribute__((target("amx-tile,amx-bf16")))

namespace granule::bf16_units {

inline constexpr std::int64_t kTile = 16;       // rows and columns of sums
inline constexpr std::int64_t kTilePairs = 16;  // terms of an instruction, in pairs
inline constexpr std::int64_t kTileSums = kTile * kTile;
inline constexpr std::int64_t kRowsOfTiles = 2 * kTile;  // that are computed together

/// The operand of LDTILECFG. Tiles 0 and 1 are sums of the upper rows, and 2 and 3 those of the lower rows.
/// Tile 4 has the upper rows of A and tile 5 the lower ones. 6 and 7 are B. Rows of all tiles have 64 bytes.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, first_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> bytes{};
  std::array<std::uint8_t, 16> rows{};

  TileShapes(std::int64_t upper, std::int64_t lower) {
    constexpr std::array<bool, 8> kIsLower{false, false, true, true, false, true, false, false};
    for (std::size_t i = 0; i < kIsLower.size(); ++i) {
      const std::int64_t of_rows = kIsLower[i] ? std::max<std::int64_t>(lower, 1) : upper;
      bytes[i] = 64;
      rows[i] = static_cast<std::uint8_t>(i >= 6 ? kTilePairs : of_rows);
    }
  }
};
static_assert(sizeof(TileShapes) == 64);

/// Says how many rows the tiles have, up to kRowsOfTiles together.
GRANULE_AMX inline void set_tile_rows(std::int64_t rows) {
  const TileShapes shapes(std::min(rows, kTile), rows - kTile);
  // GCC does not know that its functions for tiles read memory.
  asm volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}
GRANULE_AMX inline void release_tiles() {
  _tile_release();
}

/// `sums` [rows, kColumns] = rows of A, `pitch` elements apart, times `steps` · kTilePairs pairs of a panel.
/// Sums of an earlier panel are added to. set_tile_rows() has said the number of rows.
template <bool kLower>
GRANULE_AMX void multiply_tiles(const bf16* a, std::int64_t pitch, const bf16* panel, std::int64_t steps,
                                bool add, float* sums) {
  constexpr std::int64_t kSumBytes = kColumns * 4, kPanelBytes = kColumns * 4;
  const std::int64_t a_bytes = pitch * 2;
  float* const lower = sums + kTile * kColumns;
  asm volatile("" : : : "memory");
  if (add) {
    _tile_loadd(0, sums, kSumBytes);
    _tile_loadd(1, sums + kTile, kSumBytes);
    if constexpr (kLower) {
      _tile_loadd(2, lower, kSumBytes);
      _tile_loadd(3, lower + kTile, kSumBytes);
    }
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kLower) {
      _tile_zero(2);
      _tile_zero(3);
    }
  }
  for (std::int64_t s = 0; s < steps; ++s, a += 2 * kTilePairs, panel += 2 * kTilePairs * kColumns) {
    _tile_loadd(6, panel, kPanelBytes);
    _tile_loadd(4, a, a_bytes);
    _tile_loadd(7, panel + 2 * kTile, kPanelBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kLower) {
      _tile_loadd(5, a + kTile * pitch, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, kSumBytes);
  _tile_stored(1, sums + kTile, kSumBytes);
  if constexpr (kLower) {
    _tile_stored(2, lower, kSumBytes);
    _tile_stored(3, lower + kTile, kSumBytes);
  }
  asm volatile("" : : : "memory");
}

/// The same for any number of rows of A.
inline void multiply_by_tiles(std::int64_t m, const bf16* a, std::int64_t pitch, const bf16* panel,
                              std::int64_t steps, bool add, float* sums) {
  for (std::int64_t i = 0; i < m; i += kRowsOfTiles) {
    const std::int64_t rows = std::min(kRowsOfTiles, m - i);
    if (i == 0 || rows < kRowsOfTiles) set_tile_rows(rows);
    (rows > kTile ? multiply_tiles<true> : multiply_tiles<false>)(a + i * pitch, pitch, panel, steps, add,
                                                                  sums + i * kColumns);
  }
  release_tiles();
}

// Tiles that are summed at once for the machine's ceiling. An Intel processor begins a product every 16
// cycles and has its sums after 52, so four of them do not wait for each other.
inline constexpr std::int64_t kTilesAtOnce = 4;

template <int kTiles>
GRANULE_AMX void advance_tiles(std::int64_t rounds, const bf16* a, const bf16* b, float* sums) {
  constexpr std::int64_t kBytes = 64;
  set_tile_rows(kRowsOfTiles);
  asm volatile("" : : : "memory");
  _tile_loadd(4, a, kBytes);
  _tile_loadd(6, b, kBytes);
  _tile_loadd(0, sums, kBytes);
  if constexpr (kTiles > 1) _tile_loadd(1, sums + kTileSums, kBytes);
  if constexpr (kTiles > 2) _tile_loadd(2, sums + 2 * kTileSums, kBytes);
  if constexpr (kTiles > 3) _tile_loadd(3, sums + 3 * kTileSums, kBytes);
  for (std::int64_t r = 0; r < rounds; ++r) {
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTiles > 1) _tile_dpbf16ps(1, 4, 6);
    if constexpr (kTiles > 2) _tile_dpbf16ps(2, 4, 6);
    if constexpr (kTiles > 3) _tile_dpbf16ps(3, 4, 6);
  }
  _tile_stored(0, sums, kBytes);
  if constexpr (kTiles > 1) _tile_stored(1, sums + kTileSums, kBytes);
  if constexpr (kTiles > 2) _tile_stored(2, sums + 2 * kTileSums, kBytes);
  if constexpr (kTiles > 3) _tile_stored(3, sums + 3 * kTileSums, kBytes);
  asm volatile("" : : : "memory");
  release_tiles();
}

/// Adds a · b to `tiles` ≤ kTilesAtOnce tiles of sums `rounds` times, where a and b are one tile each.
inline void advance_tiles(std::int64_t tiles, std::int64_t rounds, const bf16* a, const bf16* b,
                          float* sums) {
  constexpr std::array kKernels{advance_tiles<1>, advance_tiles<2>, advance_tiles<3>, advance_tiles<4>};
  kKernels[static_cast<std::size_t>(tiles - 1)](rounds, a, b, sums);
}

}  // namespace granule::bf16_units
#endif
