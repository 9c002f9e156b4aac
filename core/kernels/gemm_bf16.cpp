#include "core/kernels/gemm_bf16.hpp"

#include "core/kernels/convert.hpp"
#include "core/kernels/gemm_bf16_units.hpp"
#include "core/kernels/instruction_set.hpp"

namespace granule {
MatrixIn<float> widened_matrix(std::int64_t rows, std::int64_t columns, MatrixIn<bf16> x,
                               std::vector<float>& buffer) {
  if (x.transpose == Transpose::yes) std::swap(rows, columns);
  buffer.resize(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i)
    widen_row(x.data + i * x.pitch, columns, buffer.data() + i * columns);
  return {buffer.data(), columns, x.transpose};
}

// The products of numbers in bf16 are exact in float, so this is the product of the widened matrices.
template <class Out>
void gemm_bf16_widened(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a, MatrixIn<bf16> b,
                       MatrixOut<Out> c) {
  thread_local std::vector<float> left, right, sums;
  const MatrixIn<float> x = widened_matrix(m, k, a, left), y = widened_matrix(k, n, b, right);
  if constexpr (std::is_same_v<Out, float>) {
    gemm_serial<float>(m, n, k, x, y, c);
  } else {
    sums.resize(static_cast<std::size_t>(m * n));
    gemm_serial<float>(m, n, k, x, y, {sums.data(), n});
    for (std::int64_t i = 0; i < m; ++i)
      round_row(sums.data() + i * n, n, c.data + i * c.pitch, c.beta != 0.0);
  }
}

template <class Out>
void gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a, MatrixIn<bf16> b,
               MatrixOut<Out> c) {
  if (const Bf16Units units = bf16_units(); units != Bf16Units::none)
    return gemm_bf16_units(units, m, n, k, a, b, c);
  gemm_bf16_widened(m, n, k, a, b, c);
}

template void gemm_bf16_widened(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                                MatrixOut<bf16>);
template void gemm_bf16_widened(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                                MatrixOut<float>);
template void gemm_bf16(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                        MatrixOut<bf16>);
template void gemm_bf16(std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                        MatrixOut<float>);

}  // namespace granule
