// Products of float32 matrices by our own kernels. The right operand is usually packed into panels, which the
// kernels read in order. A caller that multiplies several matrices by the same one packs it once. The bits of
// an element of C depend on its row of A, its column of B and k alone: not on m and n, nor on its place.
#pragma once
#include "core/kernels/gemm.hpp"

namespace granule {

/// Whether the instruction set in use has registers enough for these kernels: AVX2 or AVX-512.
[[nodiscard]] bool packing_is_fast();

// Panels of every instruction set have a number of columns that divides this one.
inline constexpr std::int64_t kPanelColumns = 32;

// Rows of A that are this far apart do not share sets of the first level of cache. They are read where they
// lie, and other rows are copied first.
inline constexpr std::int64_t kLeftPitch = 528;

struct Range {
  std::int64_t begin, end;
  [[nodiscard]] std::int64_t size() const { return end - begin; }
};

/// Elements of the packed form of B[k,n]. Its memory is aligned to 64 bytes.
[[nodiscard]] std::int64_t packed_size(std::int64_t n, std::int64_t k);
/// Packs some columns of B[k,n] into their place in `packed`. `columns` begins at a multiple of
/// kPanelColumns, and ends at one or at n.
void pack(std::int64_t n, std::int64_t k, MatrixIn<float> b, Range columns, float* packed);
/// Memory of the calling thread for one packed B[k,n]. The next call may give the same memory.
[[nodiscard]] float* shared_panels(std::int64_t n, std::int64_t k);

/// B[k,n] as pack() made it.
struct PackedMatrix {
  const float* data;
  std::int64_t n, k;
};
/// C = A B + beta C on the calling thread, with some terms of each sum and some columns. A and C begin with
/// the first of these. columns.begin is a multiple of kPanelColumns.
void packed_gemm(std::int64_t m, MatrixIn<float> a, const PackedMatrix& b, Range terms, Range columns,
                 MatrixOut<float> c);

/// C[m,n] = A[m,k] B[k,n] + beta C with B as it is. Each panel is packed when it is needed.
void packing_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                  MatrixOut<float> c);

/// The same for a B that is used once with few terms: its rows are read where they lie. They are aligned to
/// 64 bytes, not transposed, and can be read up to the next multiple of kPanelColumns.
void unpacked_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                   MatrixOut<float> c);

}  // namespace granule
