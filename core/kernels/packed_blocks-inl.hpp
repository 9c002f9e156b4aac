// What the tiles of a block share: the rows of A, and requests for the next panel of B. packed_gemm.cpp
// computes blocks. Include it inside a foreach_target file. It is not an interface between translation units.
#include <algorithm>

#include "core/kernels/fetch_row.hpp"
#include "core/kernels/packed_tile-inl.hpp"

#if defined(GRANULE_CORE_KERNELS_PACKED_BLOCKS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef GRANULE_CORE_KERNELS_PACKED_BLOCKS_INL_HPP
#undef GRANULE_CORE_KERNELS_PACKED_BLOCKS_INL_HPP
#else
#define GRANULE_CORE_KERNELS_PACKED_BLOCKS_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

inline std::int64_t ceil_div(std::int64_t x, std::int64_t y) {
  return (x + y - 1) / y;
}

/// Rows cut into as few parts of at most `most` as possible. All parts have about equally many rows, because
/// a tile of few rows takes almost as long as a whole one.
struct Parts {
  std::int64_t count, least, longer;  // the first `longer` parts have one row more than the others

  Parts(std::int64_t all, std::int64_t most)
      : count(ceil_div(all, most)), least(all / count), longer(all % count) {}
  [[nodiscard]] std::int64_t rows(std::int64_t part) const { return least + (part < longer ? 1 : 0); }
};

/// Terms that are summed in registers, rows of A that are copied together, and columns. A and C begin with
/// the first row, term and column of the whole product.
struct Block {
  Range terms, rows, columns;
};

/// The rows of A in a block, which tiles read kLeftPitch apart. Rows that lie otherwise are copied to
/// `memory`. Those of a tile are copied before its first panel. From the transpose of A all are copied at
/// once, because a line of it has elements of many rows.
class LeftRows {
 public:
  LeftRows(const Block& block, MatrixIn<float> a, float* memory)
      : rows_(block.rows.size()),
        terms_(block.terms.size()),
        a_(a),
        memory_(memory),
        in_place_(a.transpose == Transpose::no && a.pitch == kLeftPitch) {
    if (a.transpose == Transpose::yes) copy_transposed();
  }

  [[nodiscard]] const float* row(std::int64_t i) const {
    return (in_place_ ? a_.data : memory_) + i * kLeftPitch;
  }
  /// Copies the rows of a tile if that is needed.
  void copy(std::int64_t i, std::int64_t rows) const {
    if (in_place_ || a_.transpose == Transpose::yes) return;
    for (std::int64_t r = i; r < i + rows; ++r) {
      map(
          Store::overwrite, memory_ + r * kLeftPitch, terms_, [](auto, auto v) HWY_ATTR { return v; },
          a_.data + r * a_.pitch);
    }
  }
  /// What a tile asks for before the tile in row i begins.
  [[nodiscard]] MatrixIn<float> soon(std::int64_t i, bool copied) const {
    if (i >= rows_) return {row(0), kLeftPitch};
    if (copied || a_.transpose == Transpose::yes) return {row(i), kLeftPitch};
    return {a_.data + i * a_.pitch, a_.pitch};
  }

 private:
  void copy_transposed() const {
    for (std::int64_t p = 0; p < terms_; p += kLanes) {
      for (std::int64_t next = p + kLanes; next < p + 2 * kLanes; ++next)
        fetch_row(a_.data + next * a_.pitch, rows_);
      transpose_lines(a_.data + p * a_.pitch, a_.pitch, std::min(kLanes, terms_ - p), rows_, memory_ + p,
                      kLeftPitch);
    }
  }

  std::int64_t rows_, terms_;
  MatrixIn<float> a_;
  float* memory_;
  bool in_place_;
};

/// A panel of B. `next` is the next one if it is packed already. Otherwise the next one is in `source`.
struct Panel {
  const float* data;
  std::int64_t pitch;
  const float* next = nullptr;
  const MatrixIn<float>* source = nullptr;
};

/// How the tiles of a block share the work of asking for the next panel. If there are more tiles than are
/// needed, the last ones do it.
class PanelShares {
 public:
  PanelShares(const Block& block, std::int64_t tiles)
      : first_term_(block.terms.begin), end_(block.columns.end) {
    const std::int64_t lines = block.terms.size() * kAcross,
                       steps = std::max<std::int64_t>(block.terms.size() / kRows, 1);
    lines_ = std::min(ceil_div(lines, tiles * steps), kMost);
    share_ = steps * lines_;
    first_tile_ = std::max<std::int64_t>(tiles - ceil_div(lines, share_), 0);
    columns_ = std::min(ceil_div(kPanel, tiles), kMostColumns);
    first_if_transposed_ = std::max<std::int64_t>(tiles - ceil_div(kPanel, columns_), 0);
  }

  /// What tile t fetches of the panel that follows the one at column j.
  [[nodiscard]] Soon of(const Panel& panel, std::int64_t j, std::int64_t t) const {
    const std::int64_t next = j + kPanel;
    if (next >= end_) return {};
    if (panel.source != nullptr && panel.source->transpose == Transpose::yes)
      return of_transposed(*panel.source, next, t - first_if_transposed_);
    if (t < first_tile_) return {};
    const std::int64_t turn = t - first_tile_;
    if (panel.source == nullptr) return {panel.next + turn * share_ * kLine, lines_, kLine, lines_ * kLine};
    // One tile fetches the first line of some rows, and the next tile their second one.
    const MatrixIn<float>& b = *panel.source;
    const std::int64_t row = first_term_ + turn / kAcross * share_, line = turn % kAcross;
    return {b.data + row * b.pitch + next + line * kLine, lines_, b.pitch, lines_ * b.pitch};
  }

 private:
  // Lines of a panel for each term.
  static constexpr std::int64_t kAcross = std::max<std::int64_t>(kPanel / kLine, 1);
  // More lines at once would be a burst, for which the tile waits. But products of few rows wait longer if
  // much of the next panel is not asked for. For a single tile, half of it is fastest.
  static constexpr std::int64_t kMost = 4, kMostColumns = 16;

  [[nodiscard]] Soon of_transposed(const MatrixIn<float>& b, std::int64_t next, std::int64_t turn) const {
    const std::int64_t first = next + turn * columns_, count = std::min(columns_, end_ - first);
    if (turn < 0 || count <= 0) return {};
    return {b.data + first * b.pitch + first_term_, count, b.pitch, kRows};
  }

  std::int64_t first_term_, end_;
  // What a tile fetches: lines at once and in all, or rows of B's transpose. The first tiles fetch nothing.
  std::int64_t lines_, share_, first_tile_, columns_, first_if_transposed_;
};

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
