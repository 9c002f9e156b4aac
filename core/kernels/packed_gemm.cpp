#include "core/kernels/packed_gemm.hpp"

#include <algorithm>
#include <new>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/packed_gemm.cpp"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/packed_blocks-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

static_assert(kPanelColumns % kPanel == 0);
// Rows of A that are copied together: as many as a megabyte of cache has room for beside panels of B. The 256
// rows of most callers are one block, for which B is packed once.
constexpr std::int64_t kLeftRows = kLanes == 16 ? 294 : 258;
static_assert(kLeftRows % kRows == 0);
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

/// A from row i and term p on.
MatrixIn<float> part_of(MatrixIn<float> a, std::int64_t i, std::int64_t p) {
  a.data += a.transpose == Transpose::yes ? p * a.pitch + i : i * a.pitch + p;
  return a;
}

/// Computes a block; a and c point at its first elements. `panel_of(terms, j, columns)` returns a panel of B.
template <class PanelOf>
HWY_INLINE void multiply_block(const Block& block, MatrixIn<float> a, MatrixOut<float> c, float* memory,
                               const PanelOf& panel_of) {
  const std::int64_t first = block.columns.begin;
  const Parts tiles(block.rows.size(), kRows);
  const LeftRows left(block, a, memory);
  const PanelShares shares(block, tiles.count);
  for (std::int64_t j = first; j < block.columns.end; j += kPanel) {
    const std::int64_t columns = std::min(kPanel, block.columns.end - j);
    const Panel panel = panel_of(block.terms, j, columns);
    for (std::int64_t i = 0, t = 0; t < tiles.count; i += tiles.rows(t), ++t) {
      const std::int64_t rows = tiles.rows(t);
      if (j == first) left.copy(i, rows);
      const TileArgs tile{block.terms.size(),
                          left.row(i),
                          panel.data,
                          panel.pitch,
                          c.data + i * c.pitch + j - first,
                          c.pitch,
                          columns,
                          store_of(c.beta),
                          left.soon(i + rows, j > first),
                          shares.of(panel, j, t)};
      (columns > kLanes ? kTiles<2> : kTiles<1>)[static_cast<std::size_t>(rows - 1)](tile);
    }
  }
}

/// What all products do alike. The sums have k terms if all are added.
template <class PanelOf>
HWY_INLINE void multiply(std::int64_t m, std::int64_t k, MatrixIn<float> a, Range terms, Range columns,
                         MatrixOut<float> c, float* memory, const PanelOf& panel_of) {
  if (m == 0) return;
  const std::int64_t depth = std::max<std::int64_t>(depth_of(k), 1);
  const Parts blocks(m, kLeftRows);
  for (std::int64_t p = terms.begin; p < terms.end;) {
    const std::int64_t end = std::min(terms.end, (p / depth + 1) * depth);
    const double beta = p == terms.begin ? c.beta : 1.0;
    for (std::int64_t first = 0, part = 0; part < blocks.count; first += blocks.rows(part), ++part) {
      const Block block{{p, end}, {first, first + blocks.rows(part)}, columns};
      multiply_block(block, part_of(a, first, p - terms.begin), {c.data + first * c.pitch, c.pitch, beta},
                     memory, panel_of);
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

void multiply_unpacked(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                       MatrixOut<float> c, float* scratch) {
  const auto panel_of = [&](Range part, std::int64_t j, std::int64_t /*columns*/) HWY_ATTR {
    return Panel{b.data + part.begin * b.pitch + j, b.pitch, nullptr, &b};
  };
  multiply(m, k, a, {0, k}, {0, n}, c, scratch, panel_of);
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
HWY_EXPORT(multiply_unpacked);
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
void unpacked_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                   MatrixOut<float> c) {
  HWY_DYNAMIC_DISPATCH(multiply_unpacked)(m, n, k, a, b, c, scratch());
}

}  // namespace granule
#endif
