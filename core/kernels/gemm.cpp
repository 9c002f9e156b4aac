#include "core/kernels/gemm.hpp"

#ifdef GRANULE_WITH_ONEDNN
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#endif

#define EIGEN_DONT_PARALLELIZE
// Eigen would compute small products coefficient by coefficient, and then the sign of a zero depends on the
// alignment of the result. Bits must depend on values and shapes alone.
#define EIGEN_GEMM_TO_COEFFBASED_THRESHOLD 1
#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/kernels/dot_rows.hpp"
#include "core/kernels/gemm_bf16.hpp"
#include "core/kernels/packed_gemm.hpp"

namespace granule {
namespace {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Pitch = Eigen::OuterStride<>;

template <class T>
void product_eigen(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                   MatrixOut<T> c) {
  using In = Eigen::Map<const RowMajor<T>, 0, Pitch>;
  Eigen::Map<RowMajor<T>, 0, Pitch> out(c.data, m, n, Pitch(c.pitch));
  const bool ta = a.transpose == Transpose::yes, tb = b.transpose == Transpose::yes;
  const In left(a.data, ta ? k : m, ta ? m : k, Pitch(a.pitch));
  const In right(b.data, tb ? n : k, tb ? k : n, Pitch(b.pitch));
  const auto multiply = [&](const auto& x, const auto& y) {
    if (c.beta == 0.0) {
      out.noalias() = x * y;
    } else {
      out.noalias() += x * y;
    }
  };
  if (ta && tb) multiply(left.transpose(), right.transpose());
  if (ta && !tb) multiply(left.transpose(), right);
  if (!ta && tb) multiply(left, right.transpose());
  if (!ta && !tb) multiply(left, right);
}

/// Whether this processor has AVX-512, and with it products for which oneDNN is faster than our own kernels.
bool uses_onednn() {
#ifdef GRANULE_WITH_ONEDNN
  static const bool wide = (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & dnnl_cpu_isa_avx512_core) ==
                           dnnl_cpu_isa_avx512_core;
  return wide;
#else
  return false;
#endif
}

#ifdef GRANULE_WITH_ONEDNN
void product_onednn(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                    MatrixOut<float> c) {
  // oneDNN's own runtime would start threads beside ours.
  thread_local const bool on_one_thread = (omp_set_num_threads(1), true);
  GRANULE_ASSERT(on_one_thread, "OpenMP");
  const auto flag = [](const MatrixIn<float>& x) { return x.transpose == Transpose::yes ? 'T' : 'N'; };
  const dnnl_status_t status = dnnl_sgemm(flag(a), flag(b), m, n, k, 1.0F, a.data, a.pitch, b.data, b.pitch,
                                          static_cast<float>(c.beta), c.data, c.pitch);
  GRANULE_CHECK(status == dnnl_success, "gemm: oneDNN reports status {} for m={} n={} k={}",
                static_cast<int>(status), m, n, k);
}
#endif

template <class T>
void product(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b, MatrixOut<T> c) {
#ifdef GRANULE_WITH_ONEDNN
  if constexpr (std::is_same_v<T, float>) {
    if (uses_onednn()) return product_onednn(m, n, k, a, b, c);
  }
#endif
  product_eigen(m, n, k, a, b, c);
}

template <class T>
MatrixIn<T> rows_from(MatrixIn<T> a, std::int64_t row) {
  a.data += a.transpose == Transpose::yes ? row : row * a.pitch;
  return a;
}

/// How a library must get its rows so that it sums all of them in one order. It sums the rest after its
/// blocks in another order, and so it does products of few rows.
struct RowBlocks {
  // Rows that are summed together. The rows after the last block are summed in another order.
  std::int64_t block;
  // Products of fewer rows are summed in another order.
  std::int64_t least;
};

template <class T>
RowBlocks row_blocks() {
  // A special kernel of oneDNN multiplies 2 to 15 rows of a transposed matrix by a transposed one.
  if (std::is_same_v<T, float> && uses_onednn()) return {.block = 1, .least = 16};
  return {.block = 4, .least = 4};
}

/// The last rows of a product, filled up with rows of zeros so that the library sums them as it sums all
/// others.
template <class T>
void filled_up_product(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                       MatrixOut<T> c) {
  const RowBlocks rows = row_blocks<T>();
  const std::int64_t filled = std::max(rows.least, rows.block);
  thread_local std::vector<T> left, out;
  left.assign(static_cast<std::size_t>(filled * k), T(0));
  out.resize(static_cast<std::size_t>(filled * n));
  const bool transposed = a.transpose == Transpose::yes;
  for (std::int64_t i = 0; i < (transposed ? k : m); ++i) {
    std::copy_n(a.data + i * a.pitch, transposed ? m : k, left.data() + i * (transposed ? filled : k));
  }
  for (std::int64_t i = 0; i < filled; ++i) {
    if (c.beta != 0.0 && i < m) std::copy_n(c.data + i * c.pitch, n, out.data() + i * n);
    if (c.beta != 0.0 && i >= m) std::fill_n(out.data() + i * n, n, T(0));
  }
  product<T>(filled, n, k, {left.data(), transposed ? filled : k, a.transpose}, b, {out.data(), n, c.beta});
  for (std::int64_t i = 0; i < m; ++i) std::copy_n(out.data() + i * n, n, c.data + i * c.pitch);
}

/// Rows and columns of a tile. It is large enough for the library to reach its speed. It is small enough that
/// the usual products of a model give every core some tiles.
struct Tile {
  std::int64_t rows, columns;
};
/// How many tiles there are along m or n. A short rest belongs to the last tile: few rows are slow.
std::int64_t tiles(std::int64_t extent, std::int64_t tile) {
  constexpr std::int64_t kShort = 16;
  return std::max<std::int64_t>(1, (extent + tile - kShort) / tile);
}
Tile tile_of(std::int64_t m, std::int64_t n) {
  constexpr std::int64_t kWanted = 8, kRows = 256, kColumns = 1024, kLeast = 64;
  Tile tile{std::min(m, kRows), std::min(n, kColumns)};
  const auto count = [&] { return tiles(m, tile.rows) * tiles(n, tile.columns); };
  while (count() < kWanted && std::max(tile.rows, tile.columns) >= 2 * kLeast) {
    std::int64_t& longer = tile.columns > tile.rows ? tile.columns : tile.rows;
    longer = (longer / 2 + 15) / 16 * 16;
  }
  return tile;
}

/// Whether oneDNN can multiply and is usually faster: with AVX-512, except where B alone is transposed.
bool suits_onednn(MatrixIn<float> a, MatrixIn<float> b) {
  const bool only_b = a.transpose == Transpose::no && b.transpose == Transpose::yes;
  return uses_onednn() && !only_b;
}

/// The product by our own kernels if they are faster, and otherwise in blocks of rows that the library sums
/// alike. Neither choice depends on m.
template <class T>
void product_of_rows(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                     MatrixOut<T> c) {
  if constexpr (std::is_same_v<T, float>) {
    if (packing_is_fast() && !suits_onednn(a, b)) return packing_gemm(m, n, k, a, b, c);
  }
  const RowBlocks rows = row_blocks<T>();
  for (std::int64_t done = 0; done < m;) {
    const std::int64_t left = m - done, alike = left < rows.least ? 0 : left - left % rows.block;
    const MatrixOut<T> out{c.data + done * c.pitch, c.pitch, c.beta};
    if (alike == 0) return filled_up_product(m - done, n, k, rows_from(a, done), b, out);
    product(alike, n, k, rows_from(a, done), b, out);
    done += alike;
  }
}

/// Whether B should be packed once, because many rows of tiles would pack the same panels.
bool packs_once(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b) {
  // Fewer rows than kMany use panels often enough only if all of these stay in the caches.
  constexpr std::int64_t kSome = 256, kMany = 1024, kElements = std::int64_t{1} << 21;
  if (!packing_is_fast() || k == 0) return false;
  const bool fits = n * k <= kElements;
  if (suits_onednn(a, b)) {
    // Its tiles would pack B again and again. Products of fewer columns promise that their bits do not depend
    // on m.
    constexpr std::int64_t kColumns = 128;
    return b.transpose == Transpose::no && m >= kMany && n >= kColumns && fits;
  }
  return m >= kMany || (m >= kSome && fits);
}

/// Parts of m rows for a product by packed B. If threads have many rows, the last parts are small, so that no
/// thread waits long for a slower one. Otherwise each thread has equally many equal parts.
std::vector<Range> row_parts(std::int64_t m, std::int64_t threads) {
  // Whole tiles of all kernels: they have 14 or 6 rows.
  constexpr std::int64_t kTiles = 42, kMost = 126, kMany = 6 * kTiles;
  std::vector<Range> parts;
  if (m < kMany * threads) {
    const std::int64_t rounds = (m + kMost * threads - 1) / (kMost * threads),
                       count = std::min(rounds * threads, m);
    for (std::int64_t i = 0; i < count; ++i) parts.push_back({m * i / count, m * (i + 1) / count});
    return parts;
  }
  for (std::int64_t done = 0; done < m;) {
    const std::int64_t fair = (m - done) / (2 * threads), whole = (fair + kTiles / 2) / kTiles * kTiles,
                       rows = std::min(std::clamp(whole, kTiles, kMost), m - done);
    parts.push_back({done, done + rows});
    done += rows;
  }
  return parts;
}

/// A product by B whose panels are packed once, and not again for every tile. The bits of our own kernels do
/// not depend on the cut.
void gemm_packed_once(ThreadPool& pool, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a,
                      MatrixIn<float> b, MatrixOut<float> c) {
  constexpr std::int64_t kColumns = 1024;
  float* const packed = shared_panels(n, k);
  pool.run((n + kPanelColumns - 1) / kPanelColumns, [&](std::int64_t i) {
    pack(n, k, b, {i * kPanelColumns, std::min(n, (i + 1) * kPanelColumns)}, packed);
  });
  const std::int64_t across = (n + kColumns - 1) / kColumns;
  const std::vector<Range> parts = row_parts(m, pool.size());
  pool.run(across * static_cast<std::int64_t>(parts.size()), [&](std::int64_t task) {
    const std::int64_t j = task % across * kColumns;
    const Range rows = parts[static_cast<std::size_t>(task / across)];
    packed_gemm(rows.size(), rows_from(a, rows.begin), {packed, n, k}, {0, k}, {j, std::min(n, j + kColumns)},
                {c.data + rows.begin * c.pitch + j, c.pitch, c.beta});
  });
}

}  // namespace

template <class T, class Out>
void gemm_serial(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                 MatrixOut<Out> c, OneRow one_row) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (c.beta == 0.0) {
      for (std::int64_t i = 0; i < m; ++i) std::fill_n(c.data + i * c.pitch, n, Out(0));
    }
    return;
  }
  const bool alone = m == 1 && one_row == OneRow::alone;
  if (alone && a.transpose == Transpose::no && b.transpose == Transpose::yes)
    return dot_rows(n, k, b.data, b.pitch, a.data, c.data, c.beta);
  if constexpr (std::is_same_v<T, bf16>) {
    gemm_bf16(m, n, k, a, b, c);
  } else if (alone) {
    product(m, n, k, a, b, c);
  } else {
    product_of_rows(m, n, k, a, b, c);
  }
}

template <class T, class Out>
void gemm(ThreadPool& pool, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<Out> c, OneRow one_row) {
  if (m == 0 || n == 0) return;
  if constexpr (std::is_same_v<T, float>) {
    if (packs_once(m, n, k, a, b)) return gemm_packed_once(pool, m, n, k, a, b, c);
  }
  const Tile tile = tile_of(m, n);
  const std::int64_t across = tiles(n, tile.columns), down = tiles(m, tile.rows);
  pool.run(across * down, [&](std::int64_t task) {
    const std::int64_t row = task / across, column = task % across;
    const std::int64_t i = row * tile.rows, j = column * tile.columns;
    MatrixIn<T> right = b;
    right.data += b.transpose == Transpose::yes ? j * b.pitch : j;
    gemm_serial(row == down - 1 ? m - i : tile.rows, column == across - 1 ? n - j : tile.columns, k,
                rows_from(a, i), right, MatrixOut<Out>{c.data + i * c.pitch + j, c.pitch, c.beta}, one_row);
  });
}

template void gemm_serial(std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                          MatrixOut<float>, OneRow);
template void gemm_serial(std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                          MatrixOut<double>, OneRow);
template void gemm_serial(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                          MatrixOut<bf16>, OneRow);
template void gemm_serial(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                          MatrixOut<float>, OneRow);
template void gemm(ThreadPool&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                   MatrixOut<float>, OneRow);
template void gemm(ThreadPool&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                   MatrixOut<double>, OneRow);
template void gemm(ThreadPool&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                   MatrixOut<bf16>, OneRow);
template void gemm(ThreadPool&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                   MatrixOut<float>, OneRow);

}  // namespace granule
