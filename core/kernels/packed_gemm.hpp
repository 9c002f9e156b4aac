// Products of float32 matrices by our own kernels. The right operand is first packed into panels, which the
// kernels read in order. A caller that multiplies several matrices by the same one packs it once. The bits of
// an element of C depend on its row of A, its column of B and k alone: not on m and n, nor on its place.
#pragma once
#include "core/kernels/gemm.hpp"

namespace granule {

/// Whether the instruction set in use has registers enough for these kernels: AVX2 or AVX-512.
[[nodiscard]] bool packing_is_fast();

/// Elements of the packed form of B[k,n]. Its memory is aligned to 64 bytes.
[[nodiscard]] std::int64_t packed_size(std::int64_t n, std::int64_t k);
/// Columns of a panel.
[[nodiscard]] std::int64_t panel_columns();
/// Packs columns [begin, end) of B[k,n] into their place in `packed`. `begin` is a multiple of
/// panel_columns(), and so is `end` if it is not n.
void pack(std::int64_t n, std::int64_t k, MatrixIn<float> b, std::int64_t begin, std::int64_t end,
          float* packed);

/// Memory of the calling thread for one packed B[k,n]. The next call may give the same memory.
[[nodiscard]] float* shared_panels(std::int64_t n, std::int64_t k);

/// C[m,n] = A[m,k] B[k,n] + beta C on the calling thread, with B packed by pack(). It writes columns [begin,
/// end) only, with the same bounds as pack(). A is not transposed.
void packed_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, const float* packed,
                 std::int64_t begin, std::int64_t end, MatrixOut<float> c);

/// The same with B as it is. Each panel is packed when it is needed.
void packing_gemm(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<float> a, MatrixIn<float> b,
                  MatrixOut<float> c);

}  // namespace granule
