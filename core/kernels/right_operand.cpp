#include "core/kernels/right_operand.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "core/error.hpp"
#include "core/kernels/gemm_bf16.hpp"
#include "core/kernels/instruction_set.hpp"
#include "core/kernels/packed_bf16.hpp"
#include "core/kernels/transpose.hpp"

namespace granule {
namespace {

template <class T>
bool in_panels() {
  return std::is_same_v<T, float> && packing_is_fast();
}

/// out[k, n] = B
template <class T>
void copy_rows(std::int64_t n, std::int64_t k, MatrixIn<T> b, T* out) {
  if (b.transpose == Transpose::yes) return transpose(n, k, b.data, b.pitch, out);
  for (std::int64_t p = 0; p < k; ++p) std::copy_n(b.data + p * b.pitch, n, out + p * n);
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

template <class T>
void multiply_few_terms(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
                        MatrixOut<Wide<T>> c) {
  if constexpr (std::is_same_v<T, float>) {
    if (packing_is_fast()) {
      GRANULE_ASSERT(b.pitch % 16 == 0, "multiply_few_terms: rows of B begin inside lines of the cache");
      return unpacked_gemm(m, n, k, a, b, c);
    }
  }
  gemm_serial<T>(m, n, k, a, b, c, OneRow::alone);
}

template void multiply_few_terms(std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                                 MatrixOut<float>);
template void multiply_few_terms(std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                                 MatrixOut<double>);
template void multiply_few_terms(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                                 MatrixOut<float>);

template <>
std::int64_t RightOperand<bf16>::elements(std::int64_t n, std::int64_t k) {
  return bf16_units() != Bf16Units::none ? packed_bf16_size(n, k) : 2 * RightOperand<float>::elements(n, k);
}

template <>
RightOperand<bf16> RightOperand<bf16>::store(std::int64_t n, std::int64_t k, MatrixIn<bf16> b, bf16* memory) {
  if (bf16_units() != Bf16Units::none) {
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
  if (const Bf16Units units = bf16_units(); units != Bf16Units::none)
    return packed_gemm_bf16(units, m, a, data, k, terms, columns, c);
  thread_local std::vector<float> wide;
  const RightOperand<float> stored{reinterpret_cast<const float*>(data), n, k};
  stored.multiply(m, widened_matrix(m, terms.size(), a, wide), terms, columns, c);
}

}  // namespace granule
