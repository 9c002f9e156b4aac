#include "core/kernels/gemm.hpp"

#ifdef GRANULE_WITH_ONEDNN
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#endif

#define EIGEN_DONT_PARALLELIZE
// Small products would go coefficient by coefficient, where the sign of a zero depends on how the result is
// aligned: bits must depend on values and shapes alone.
#define EIGEN_GEMM_TO_COEFFBASED_THRESHOLD 1
#include <Eigen/Core>
#include <algorithm>

#include "core/error.hpp"

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
    product_onednn(m, n, k, a, b, c);
    return;
  }
#endif
  product_eigen(m, n, k, a, b, c);
}

/// Rows and columns of a tile: large enough for the library to reach its speed, small enough that the usual
/// products of a model give every core some.
struct Tile {
  std::int64_t rows, columns;
};
Tile tile_of(std::int64_t m, std::int64_t n) {
  constexpr std::int64_t kWanted = 8, kRows = 256, kColumns = 1024, kLeast = 64;
  Tile tile{std::min(m, kRows), std::min(n, kColumns)};
  const auto count = [&] {
    return ((m + tile.rows - 1) / tile.rows) * ((n + tile.columns - 1) / tile.columns);
  };
  while (count() < kWanted && std::max(tile.rows, tile.columns) >= 2 * kLeast) {
    std::int64_t& longer = tile.columns > tile.rows ? tile.columns : tile.rows;
    longer = (longer / 2 + 15) / 16 * 16;
  }
  return tile;
}

}  // namespace

template <class T>
void gemm_serial(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                 MatrixOut<T> c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (c.beta == 0.0) {
      for (std::int64_t i = 0; i < m; ++i) std::fill_n(c.data + i * c.pitch, n, T(0));
    }
    return;
  }
  product(m, n, k, a, b, c);
}

template <class T>
void gemm(ThreadPool& pool, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<T> c) {
  if (m == 0 || n == 0) return;
  const Tile tile = tile_of(m, n);
  const std::int64_t across = (n + tile.columns - 1) / tile.columns;
  const std::int64_t down = (m + tile.rows - 1) / tile.rows;
  pool.run(across * down, [&](std::int64_t task) {
    const std::int64_t i = task / across * tile.rows, j = task % across * tile.columns;
    MatrixIn<T> left = a, right = b;
    left.data += a.transpose == Transpose::yes ? i : i * a.pitch;
    right.data += b.transpose == Transpose::yes ? j * b.pitch : j;
    gemm_serial(std::min(tile.rows, m - i), std::min(tile.columns, n - j), k, left, right,
                MatrixOut<T>{c.data + i * c.pitch + j, c.pitch, c.beta});
  });
}

template void gemm_serial(std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                          MatrixOut<float>);
template void gemm_serial(std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                          MatrixOut<double>);
template void gemm(ThreadPool&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                   MatrixOut<float>);
template void gemm(ThreadPool&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                   MatrixOut<double>);

}  // namespace granule
