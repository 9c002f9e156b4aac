#include "core/kernels/right_operand.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/kernels/gemm_bf16.hpp"
#include "core/kernels/instruction_set.hpp"
#include "core/kernels/packed_bf16.hpp"

namespace granule {
namespace {

template <class T>
bool in_panels() {
  return std::is_same_v<T, float> && packing_is_fast();
}

/// out[k, n] = B, in squares whose lines of memory stay in the cache if B is transposed.
template <class T>
void copy_rows(std::int64_t n, std::int64_t k, MatrixIn<T> b, T* out) {
  constexpr std::int64_t kSide = 16;
  const std::int64_t along = b.transpose == Transpose::yes ? 1 : b.pitch,
                     across = b.transpose == Transpose::yes ? b.pitch : 1;
  for (std::int64_t row = 0; row < k; row += kSide) {
    for (std::int64_t column = 0; column < n; column += kSide) {
      for (std::int64_t p = row; p < std::min(row + kSide, k); ++p)
        for (std::int64_t j = column; j < std::min(column + kSide, n); ++j)
          out[p * n + j] = b.data[p * along + j * across];
    }
  }
}

}  // namespace

template <class T>
std::int64_t RightOperand<T>::elements(std::int64_t n, std::int64_t k) {
  return in_panels<T>() ? packed_size(n, k) : n * k;
}

template <class T>
RightOperand<T> RightOperand<T>::store(std::int64_t n, std::int64_t k, MatrixIn<T> b, T* memory) {
  if constexpr (std::is_same_v<T, float>) {
    if (packing_is_fast()) {
      pack(n, k, b, {0, n}, memory);
      return {memory, n, k};
    }
  }
  copy_rows(n, k, b, memory);
  return {memory, n, k};
}

template <class T>
void RightOperand<T>::multiply(std::int64_t m, MatrixIn<T> a, Range terms, Range columns,
                               MatrixOut<Wide<T>> c) const {
  if constexpr (std::is_same_v<T, float>) {
    if (packing_is_fast()) return packed_gemm(m, a, {data, n, k}, terms, columns, c);
  }
  gemm_serial<T>(m, columns.size(), terms.size(), a, {data + terms.begin * n + columns.begin, n}, c,
                 OneRow::alone);
}

template struct RightOperand<float>;
template struct RightOperand<double>;

template <>
std::int64_t RightOperand<bf16>::elements(std::int64_t n, std::int64_t k) {
  return uses_bf16_units() ? packed_bf16_size(n, k) : 2 * RightOperand<float>::elements(n, k);
}

template <>
RightOperand<bf16> RightOperand<bf16>::store(std::int64_t n, std::int64_t k, MatrixIn<bf16> b, bf16* memory) {
  if (uses_bf16_units()) {
    pack_bf16(n, k, b, memory);
  } else {
    thread_local std::vector<float> wide;
    static_cast<void>(
        RightOperand<float>::store(n, k, widened_matrix(k, n, b, wide), reinterpret_cast<float*>(memory)));
  }
  return {memory, n, k};
}

template <>
void RightOperand<bf16>::multiply(std::int64_t m, MatrixIn<bf16> a, Range terms, Range columns,
                                  MatrixOut<float> c) const {
  if (uses_bf16_units()) return packed_gemm_bf16(m, a, data, k, terms, columns, c);
  thread_local std::vector<float> wide;
  const RightOperand<float> stored{reinterpret_cast<const float*>(data), n, k};
  stored.multiply(m, widened_matrix(m, terms.size(), a, wide), terms, columns, c);
}

}  // namespace granule
