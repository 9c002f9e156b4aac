#include "core/kernels/packed_gemm.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/packed_gemm.cpp"
#include <hwy/aligned_allocator.h>
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/panels-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

// A tile of C has kRows rows and one or two vectors of columns. It stays in registers, together with two
// vectors of B and one element of A.
constexpr int kRows = kLanes == 16 ? 14 : 6;
constexpr std::int64_t kPanel = 2 * kLanes;
// Rows of A that are copied together. They and a panel of B fit into the second level of cache.
constexpr std::int64_t kLeftRows = 20 * kRows;
// Terms of a sum that are added in registers.
constexpr std::int64_t kDepth = 512;
// Copied rows of A are so far apart that they do not share sets of the first level of cache.
constexpr std::int64_t kLeftPitch = kDepth + 16;
constexpr std::int64_t kScratch = kPanel * kDepth + kLeftRows * kLeftPitch;

/// A sum of k terms is cut into parts of almost equal length. The cut is a function of k alone.
std::int64_t depth_of(std::int64_t k) {
  const std::int64_t parts = (k + kDepth - 1) / kDepth;
  return parts <= 1 ? k : ((k + parts - 1) / parts + 15) / 16 * 16;
}

struct TileArgs {
  std::int64_t k;
  const float *a, *b;  // rows of a are kLeftPitch apart, and b is a packed panel
  float* c;
  std::int64_t pitch, columns;  // of c
  Store store;
  // What is needed soon: k addresses, `step` elements apart, are fetched while the tile is computed.
  const float* soon;
  std::int64_t step;
};

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
  const float *a = t.a, *b = t.b, *soon = t.soon;
  for (std::int64_t p = 0; p < t.k; ++p, ++a, b += kVectors * kLanes, soon += t.step) {
    hwy::Prefetch(soon);
    hn::Vec<Vectors> right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) right[v] = hn::Load(d, b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const auto left = hn::Set(d, a[r * kLeftPitch]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(left, right[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* const to = t.c + r * t.pitch + v * kLanes;
      const std::int64_t rest = t.columns - v * kLanes;
      auto value = sum[r][v];
      if (rest >= kLanes) {
        if (t.store == Store::add) value = hn::Add(value, hn::LoadU(d, to));
        hn::StoreU(value, d, to);
      } else {
        if (t.store == Store::add) value = hn::Add(value, load_first(d, to, rest));
        store_first(value, d, to, rest);
      }
    }
  }
}

template <int kVectors, int... kSmaller>
constexpr auto tiles_of(std::integer_sequence<int, kSmaller...>) {
  return std::array{&tile<kSmaller + 1, kVectors>...};
}
/// Tiles of 1 to kRows rows.
template <int kVectors>
constexpr auto kTiles = tiles_of<kVectors>(std::make_integer_sequence<int, kRows>());

std::int64_t panel_pitch(std::int64_t columns) {
  return columns > kLanes ? kPanel : kLanes;
}

/// Packs terms [p, p + k) of a panel of B that begins at column j.
void pack_right(std::int64_t p, std::int64_t k, MatrixIn<float> b, std::int64_t j, std::int64_t columns,
                float* out) {
  const std::int64_t pitch = panel_pitch(columns);
  if (b.transpose == Transpose::yes) {
    transpose_part(b.data + j * b.pitch + p, b.pitch, columns, k, out, pitch);
  } else {
    copy_part(b.data + p * b.pitch + j, b.pitch, columns, k, out, pitch);
  }
}

/// Terms [p, p + terms) of the rows of A that a block of tiles needs, and of the columns of B.
struct Block {
  std::int64_t p, terms, first, rows, begin, end;
};

/// Copies up to kRows rows of A.
void copy_rows(const Block& block, MatrixIn<float> a, std::int64_t i, float* left) {
  for (std::int64_t r = i; r < std::min(i + kRows, block.rows); ++r) {
    const float* const from = a.data + (block.first + r) * a.pitch + block.p;
    map(
        Store::overwrite, left + r * kLeftPitch, block.terms, [](auto, auto v) HWY_ATTR { return v; }, from);
  }
}

/// What the tile in row i and column j has to fetch: the next rows of A during the first panel, and then its
/// part of the next panel of B.
void fetch_soon(const Block& block, MatrixIn<float> a, const MatrixIn<float>* b, std::int64_t i,
                std::int64_t j, TileArgs& tile) {
  tile.soon = tile.a;
  tile.step = 0;
  if (j == block.begin && i + kRows < block.rows && a.pitch == block.terms) {
    tile.soon = a.data + (block.first + i + kRows) * a.pitch;
    tile.step = kRows;
  } else if (j > block.begin && b != nullptr && j + kPanel < block.end && b->pitch == block.terms) {
    const std::int64_t tiles = (block.rows + kRows - 1) / kRows,
                       step = (std::min(kPanel, block.end - j - kPanel) + tiles - 1) / tiles;
    tile.soon = b->data + (j + kPanel) * b->pitch + i / kRows * step * block.terms;
    tile.step = step;
  }
}

/// Computes a block with panels of B from `panel_of(block, j, columns)`. B is given if its panels are not
/// packed yet.
template <class PanelOf>
HWY_INLINE void multiply_block(const Block& block, MatrixIn<float> a, const MatrixIn<float>* b,
                               MatrixOut<float> c, float* left, const PanelOf& panel_of) {
  for (std::int64_t j = block.begin; j < block.end; j += kPanel) {
    const std::int64_t columns = std::min(kPanel, block.end - j);
    const float* const panel = panel_of(block, j, columns);
    for (std::int64_t i = 0; i < block.rows; i += kRows) {
      if (j == block.begin) copy_rows(block, a, i, left);
      const auto smaller = static_cast<std::size_t>(std::min<std::int64_t>(kRows, block.rows - i) - 1);
      TileArgs tile{block.terms,
                    left + i * kLeftPitch,
                    panel,
                    c.data + (block.first + i) * c.pitch + j,
                    c.pitch,
                    columns,
                    store_of(c.beta),
                    {},
                    {}};
      fetch_soon(block, a, b, i, j, tile);
      (columns > kLanes ? kTiles<2> : kTiles<1>)[smaller](tile);
    }
  }
}

/// What packed_gemm and packing_gemm do alike.
template <class PanelOf>
HWY_INLINE void multiply(std::int64_t m, std::int64_t k, MatrixIn<float> a, const MatrixIn<float>* b,
                         std::int64_t begin, std::int64_t end, MatrixOut<float> c, float* left,
                         const PanelOf& panel_of) {
  const std::int64_t depth = depth_of(k);
  for (std::int64_t p = 0; p < k; p += depth) {
    for (std::int64_t first = 0; first < m; first += kLeftRows)
      multiply_block({p, std::min(depth, k - p), first, std::min(kLeftRows, m - first), begin, end}, a, b,
                     {c.data, c.pitch, p == 0 ? c.beta : 1.0}, left, panel_of);
  }
}

/// Part p of panel j is after the parts before it, and these are after each other's panels.
std::int64_t place_in_packed(std::int64_t n, std::int64_t p, std::int64_t k, std::int64_t j) {
  const std::int64_t width = n % kPanel == 0 ? n : n / kPanel * kPanel + panel_pitch(n % kPanel);
  return p * width + j * k;
}

void pack_all(std::int64_t n, std::int64_t k, MatrixIn<float> b, std::int64_t begin, std::int64_t end,
              float* packed) {
  const std::int64_t depth = depth_of(k);
  for (std::int64_t p = 0; p < k; p += depth) {
    const std::int64_t terms = std::min(depth, k - p);
    for (std::int64_t j = begin; j < end; j += kPanel)
      pack_right(p, terms, b, j, std::min(kPanel, end - j), packed + place_in_packed(n, p, terms, j));
  }
}

void multiply_packed(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, const float* packed,
                     std::int64_t begin, std::int64_t end, MatrixOut<float> c, float* scratch) {
  multiply(m, k, a, nullptr, begin, end, c, scratch,
           [=](const Block& block, std::int64_t j, std::int64_t /*columns*/)
               HWY_ATTR { return packed + place_in_packed(n, block.p, block.terms, j); });
}

void multiply_packing(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                      MatrixOut<float> c, float* scratch) {
  multiply(m, k, a, &b, 0, n, c, scratch + kPanel * kDepth,
           [=](const Block& block, std::int64_t j, std::int64_t columns) HWY_ATTR {
             pack_right(block.p, block.terms, b, j, columns, scratch);
             return scratch;
           });
}

std::int64_t packed_width(std::int64_t n) {
  return place_in_packed(n, 1, 0, 0);
}
std::int64_t columns_of_panel() {
  return kPanel;
}
std::int64_t scratch_size() {
  return kScratch;
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(pack_all);
HWY_EXPORT(multiply_packed);
HWY_EXPORT(multiply_packing);
HWY_EXPORT(packed_width);
HWY_EXPORT(columns_of_panel);
HWY_EXPORT(scratch_size);

/// Memory that a thread keeps, so that steps allocate nothing.
struct Kept {
  hwy::AlignedFreeUniquePtr<float[]> memory;
  std::int64_t elements = 0;

  float* at_least(std::int64_t wanted) {
    if (elements < wanted) {
      memory = hwy::AllocateAligned<float>(static_cast<std::size_t>(wanted));
      if (memory == nullptr) throw std::bad_alloc();
      elements = wanted;
    }
    return memory.get();
  }
};

float* scratch() {
  thread_local Kept kept;
  return kept.at_least(HWY_DYNAMIC_DISPATCH(scratch_size)());
}

}  // namespace

float* shared_panels(std::int64_t n, std::int64_t k) {
  thread_local Kept kept;
  return kept.at_least(packed_size(n, k));
}

bool packing_is_fast() {
  return panel_columns() >= 16;
}
std::int64_t panel_columns() {
  return HWY_DYNAMIC_DISPATCH(columns_of_panel)();
}
std::int64_t packed_size(std::int64_t n, std::int64_t k) {
  return HWY_DYNAMIC_DISPATCH(packed_width)(n) * k;
}
void pack(std::int64_t n, std::int64_t k, MatrixIn<float> b, std::int64_t begin, std::int64_t end,
          float* packed) {
  HWY_DYNAMIC_DISPATCH(pack_all)(n, k, b, begin, end, packed);
}
void packed_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, const float* packed,
                 std::int64_t begin, std::int64_t end, MatrixOut<float> c) {
  HWY_DYNAMIC_DISPATCH(multiply_packed)(m, n, k, a, packed, begin, end, c, scratch());
}
void packing_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                  MatrixOut<float> c) {
  HWY_DYNAMIC_DISPATCH(multiply_packing)(m, n, k, a, b, c, scratch());
}

}  // namespace granule
#endif
