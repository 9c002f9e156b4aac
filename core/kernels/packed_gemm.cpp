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
static_assert(kPanelColumns % kPanel == 0);
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
  const float *a, *b;    // rows of a are kLeftPitch apart, and b is a packed panel
  std::int64_t b_pitch;  // of the panel, which may have more vectors than are needed
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
  for (std::int64_t p = 0; p < t.k; ++p, ++a, b += t.b_pitch, soon += t.step) {
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

/// Terms that are summed in registers, rows of A that are copied together, and columns. A and C begin with
/// the first row, term and column of the whole product.
struct Block {
  Range terms, rows, columns;
};

/// Copies up to kRows rows of A.
void copy_rows(const Block& block, MatrixIn<float> a, std::int64_t i, float* left) {
  for (std::int64_t r = i; r < std::min(i + kRows, block.rows.size()); ++r) {
    map(
        Store::overwrite, left + r * kLeftPitch, block.terms.size(), [](auto, auto v) HWY_ATTR { return v; },
        a.data + r * a.pitch);
  }
}

/// A panel of B, and the matrix that it is packed from if its next panel is still to be packed.
struct Panel {
  const float* data;
  std::int64_t pitch;
  const MatrixIn<float>* source = nullptr;
};

/// What the tile in row i and column j has to fetch: the next rows of A during the first panel, and then its
/// part of the next panel of B.
void fetch_soon(const Block& block, MatrixIn<float> a, const Panel& panel, std::int64_t i, std::int64_t j,
                TileArgs& tile) {
  const std::int64_t rows = block.rows.size(), terms = block.terms.size(), next = j + kPanel;
  tile.soon = tile.a;
  tile.step = 0;
  if (j == block.columns.begin && i + kRows < rows && a.pitch == terms) {
    tile.soon = a.data + (i + kRows) * a.pitch;
    tile.step = kRows;
  } else if (j > block.columns.begin && panel.source != nullptr && next < block.columns.end &&
             panel.source->pitch == terms) {
    const std::int64_t tiles = (rows + kRows - 1) / kRows,
                       step = (std::min(kPanel, block.columns.end - next) + tiles - 1) / tiles;
    tile.soon = panel.source->data + next * terms + i / kRows * step * terms;
    tile.step = step;
  }
}

/// Computes a block; a and c point at its first elements. `panel_of(terms, j, columns)` returns a panel of B.
template <class PanelOf>
HWY_INLINE void multiply_block(const Block& block, MatrixIn<float> a, MatrixOut<float> c, float* left,
                               const PanelOf& panel_of) {
  const std::int64_t rows = block.rows.size(), first = block.columns.begin;
  for (std::int64_t j = first; j < block.columns.end; j += kPanel) {
    const std::int64_t columns = std::min(kPanel, block.columns.end - j);
    const Panel panel = panel_of(block.terms, j, columns);
    for (std::int64_t i = 0; i < rows; i += kRows) {
      if (j == first) copy_rows(block, a, i, left);
      const auto smaller = static_cast<std::size_t>(std::min<std::int64_t>(kRows, rows - i) - 1);
      TileArgs tile{block.terms.size(),
                    left + i * kLeftPitch,
                    panel.data,
                    panel.pitch,
                    c.data + i * c.pitch + j - first,
                    c.pitch,
                    columns,
                    store_of(c.beta),
                    {},
                    {}};
      fetch_soon(block, a, panel, i, j, tile);
      (columns > kLanes ? kTiles<2> : kTiles<1>)[smaller](tile);
    }
  }
}

/// What packed_gemm and packing_gemm do alike. The sums have k terms if all are added.
template <class PanelOf>
HWY_INLINE void multiply(std::int64_t m, std::int64_t k, MatrixIn<float> a, Range terms, Range columns,
                         MatrixOut<float> c, float* left, const PanelOf& panel_of) {
  const std::int64_t depth = std::max<std::int64_t>(depth_of(k), 1);
  for (std::int64_t p = terms.begin; p < terms.end;) {
    const std::int64_t end = std::min(terms.end, (p / depth + 1) * depth);
    const double beta = p == terms.begin ? c.beta : 1.0;
    for (std::int64_t first = 0; first < m; first += kLeftRows) {
      const Block block{{p, end}, {first, std::min(m, first + kLeftRows)}, columns};
      multiply_block(block, {a.data + first * a.pitch + p - terms.begin, a.pitch},
                     {c.data + first * c.pitch, c.pitch, beta}, left, panel_of);
    }
    p = end;
  }
}

/// Elements of the packed columns before column j, for each term.
std::int64_t width_before(std::int64_t n, std::int64_t j) {
  return j < n || n % kPanel == 0 ? j : n / kPanel * kPanel + panel_pitch(n % kPanel);
}

/// Term p of the panel at column j. All panels of one part of the terms are before those of the next part.
std::int64_t place_in_packed(std::int64_t n, std::int64_t k, std::int64_t p, std::int64_t j) {
  const std::int64_t depth = depth_of(k), part = p / depth * depth, terms = std::min(depth, k - part);
  return part * width_before(n, n) + j * terms + (p - part) * panel_pitch(n - j);
}

void pack_columns(std::int64_t n, std::int64_t k, MatrixIn<float> b, Range columns, float* packed) {
  const std::int64_t depth = depth_of(k);
  for (std::int64_t p = 0; p < k; p += depth) {
    for (std::int64_t j = columns.begin; j < columns.end; j += kPanel)
      pack_right(p, std::min(depth, k - p), b, j, std::min(kPanel, n - j),
                 packed + place_in_packed(n, k, p, j));
  }
}

void multiply_packed(std::int64_t m, MatrixIn<float> a, const PackedMatrix& b, Range terms, Range columns,
                     MatrixOut<float> c, float* scratch) {
  const auto panel_of = [&](Range part, std::int64_t j, std::int64_t /*columns*/) HWY_ATTR {
    return Panel{b.data + place_in_packed(b.n, b.k, part.begin, j), panel_pitch(b.n - j)};
  };
  multiply(m, b.k, a, terms, columns, c, scratch, panel_of);
}

void multiply_packing(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                      MatrixOut<float> c, float* scratch) {
  const auto panel_of = [&](Range part, std::int64_t j, std::int64_t columns) HWY_ATTR {
    pack_right(part.begin, part.size(), b, j, columns, scratch);
    return Panel{scratch, panel_pitch(columns), b.transpose == Transpose::yes ? &b : nullptr};
  };
  multiply(m, k, a, {0, k}, {0, n}, c, scratch + kPanel * kDepth, panel_of);
}

std::int64_t packed_width(std::int64_t n) {
  return width_before(n, n);
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

HWY_EXPORT(pack_columns);
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
  return HWY_DYNAMIC_DISPATCH(columns_of_panel)() >= 16;
}
std::int64_t packed_size(std::int64_t n, std::int64_t k) {
  return HWY_DYNAMIC_DISPATCH(packed_width)(n) * k;
}
void pack(std::int64_t n, std::int64_t k, MatrixIn<float> b, Range columns, float* packed) {
  HWY_DYNAMIC_DISPATCH(pack_columns)(n, k, b, columns, packed);
}
void packed_gemm(std::int64_t m, MatrixIn<float> a, const PackedMatrix& b, Range terms, Range columns,
                 MatrixOut<float> c) {
  HWY_DYNAMIC_DISPATCH(multiply_packed)(m, a, b, terms, columns, c, scratch());
}
void packing_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                  MatrixOut<float> c) {
  HWY_DYNAMIC_DISPATCH(multiply_packing)(m, n, k, a, b, c, scratch());
}

}  // namespace granule
#endif
