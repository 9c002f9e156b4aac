#include "core/kernels/packed_gemm.hpp"

#include <algorithm>
#include <new>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/packed_gemm.cpp"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/packed_tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

static_assert(kPanelColumns % kPanel == 0);
// Rows of A that are copied together: as many as a megabyte of cache has room for beside panels of B.
constexpr std::int64_t kLeftRows = 21 * kRows;
constexpr std::int64_t kScratch = kPanel * kDepth + kLeftRows * kLeftPitch;

/// A sum of k terms is cut into parts of almost equal length. The cut is a function of k alone.
std::int64_t depth_of(std::int64_t k) {
  const std::int64_t parts = (k + kDepth - 1) / kDepth;
  return parts <= 1 ? k : ((k + parts - 1) / parts + 15) / 16 * 16;
}

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

/// A from row i and term p on.
MatrixIn<float> part_of(MatrixIn<float> a, std::int64_t i, std::int64_t p) {
  a.data += a.transpose == Transpose::yes ? p * a.pitch + i : i * a.pitch + p;
  return a;
}

/// Copies the rows of a tile from the transpose of A, four at a time. So rows of the next tile come along.
void copy_transposed(const Block& block, MatrixIn<float> a, std::int64_t i, float* left) {
  const std::int64_t rows = std::min((kRows + 3) / 4 * std::int64_t{4}, block.rows.size() - i);
  for (std::int64_t p = 0; p < block.terms.size(); p += kLanes) {
    transpose_lines(a.data + p * a.pitch + i, a.pitch, std::min(kLanes, block.terms.size() - p), rows,
                    left + i * kLeftPitch + p, kLeftPitch);
  }
}

/// Copies the rows of a tile.
void copy_rows(const Block& block, MatrixIn<float> a, std::int64_t i, float* left) {
  if (a.transpose == Transpose::yes) return copy_transposed(block, a, i, left);
  for (std::int64_t r = i; r < std::min(i + kRows, block.rows.size()); ++r) {
    map(
        Store::overwrite, left + r * kLeftPitch, block.terms.size(), [](auto, auto v) HWY_ATTR { return v; },
        a.data + r * a.pitch);
  }
}

/// A panel of B. `next` is the next one if it is packed already. Otherwise it is packed from `source`.
struct Panel {
  const float* data;
  std::int64_t pitch;
  const float* next = nullptr;
  const MatrixIn<float>* source = nullptr;
};

/// The rows of A for the tile after the one in row i. During the first panel they are not copied yet. What a
/// transposed A has of them lies in as many places as there are terms.
MatrixIn<float> next_rows(const Block& block, MatrixIn<float> a, std::int64_t i, bool copied,
                          const float* left) {
  const std::int64_t next = i + kRows < block.rows.size() ? i + kRows : 0;
  if (copied || next == 0 || a.transpose == Transpose::yes) return {left + next * kLeftPitch, kLeftPitch};
  return {a.data + next * a.pitch, a.pitch};
}

/// How the tiles of a block share the work of asking for the next panel.
class PanelShares {
 public:
  explicit PanelShares(const Block& block) : first_term_(block.terms.begin), end_(block.columns.end) {
    const std::int64_t tiles = ceil_div(block.rows.size(), kRows);
    lines_ = std::min(ceil_div(kAcross * kRows, tiles), kMost);
    columns_ = ceil_div(kPanel, tiles);
    share_ = block.terms.size() / kRows * lines_ * kLine;
  }

  /// What tile t fetches of the panel that follows the one at column j.
  [[nodiscard]] Soon of(const Panel& panel, std::int64_t j, std::int64_t t) const {
    if (panel.source == nullptr) return {panel.next + t * share_, lines_, kLine, lines_ * kLine};
    const MatrixIn<float>& b = *panel.source;
    const std::int64_t next = j + kPanel;
    if (b.transpose == Transpose::yes) {
      const std::int64_t first = next + t * columns_, count = std::min({columns_, end_ - first, kMost});
      return {b.data + std::min(first, end_ - 1) * b.pitch + first_term_, count, b.pitch, kRows};
    }
    // One tile fetches the first line of some rows, and the next tile their second one.
    const std::int64_t row = first_term_ + t / kAcross * (share_ / kLine), line = t % kAcross;
    return {b.data + row * b.pitch + next + line * kLine, next < end_ ? lines_ : 0, b.pitch,
            lines_ * b.pitch};
  }

 private:
  // Lines of a panel for each term.
  static constexpr std::int64_t kAcross = std::max<std::int64_t>(kPanel / kLine, 1);
  // More lines at once would be a burst, for which the tile waits.
  static constexpr std::int64_t kMost = 4;
  static std::int64_t ceil_div(std::int64_t x, std::int64_t y) { return (x + y - 1) / y; }

  std::int64_t first_term_, end_;
  // For each tile: lines that it fetches at once, rows of B's transpose, and elements of a packed panel.
  std::int64_t lines_, columns_, share_;
};

/// Computes a block; a and c point at its first elements. `panel_of(terms, j, columns)` returns a panel of B.
template <class PanelOf>
HWY_INLINE void multiply_block(const Block& block, MatrixIn<float> a, MatrixOut<float> c, float* left,
                               const PanelOf& panel_of) {
  const std::int64_t rows = block.rows.size(), first = block.columns.begin;
  const PanelShares shares(block);
  for (std::int64_t j = first; j < block.columns.end; j += kPanel) {
    const std::int64_t columns = std::min(kPanel, block.columns.end - j);
    const Panel panel = panel_of(block.terms, j, columns);
    for (std::int64_t i = 0; i < rows; i += kRows) {
      if (j == first) copy_rows(block, a, i, left);
      const auto smaller = static_cast<std::size_t>(std::min<std::int64_t>(kRows, rows - i) - 1);
      const TileArgs tile{block.terms.size(),
                          left + i * kLeftPitch,
                          panel.data,
                          panel.pitch,
                          c.data + i * c.pitch + j - first,
                          c.pitch,
                          columns,
                          store_of(c.beta),
                          next_rows(block, a, i, j > first, left),
                          shares.of(panel, j, i / kRows)};
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
      multiply_block(block, part_of(a, first, p - terms.begin), {c.data + first * c.pitch, c.pitch, beta},
                     left, panel_of);
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
    const auto at = [&](std::int64_t column) {
      return b.data + place_in_packed(b.n, b.k, part.begin, column);
    };
    return Panel{at(j), panel_pitch(b.n - j), at(j + kPanel)};
  };
  multiply(m, b.k, a, terms, columns, c, scratch, panel_of);
}

void multiply_packing(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                      MatrixOut<float> c, float* scratch) {
  const auto panel_of = [&](Range part, std::int64_t j, std::int64_t columns) HWY_ATTR {
    pack_right(part.begin, part.size(), b, j, columns, scratch);
    return Panel{scratch, panel_pitch(columns), nullptr, &b};
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
