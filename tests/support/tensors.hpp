// Tensors for tests: made from numbers, read back as numbers, fenced, and compared bit by bit.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.hpp"
#include "tests/support/test_context.hpp"

namespace granule::test {

using Numbers = std::vector<double>;

/// n normal numbers of this scale, the same in every run. Each is a float32 number, so that computations in
/// float32 and float64 start from the same input.
[[nodiscard]] std::vector<double> normal_values(std::int64_t n, std::uint64_t seed, double scale = 1.0);

/// An f32, f64 or bf16 tensor with these elements.
[[nodiscard]] Tensor tensor_of(Context& context, const Shape& shape, DType dtype,
                               std::span<const double> values);
/// An i32 tensor with these elements, which is how token ids and positions are passed.
[[nodiscard]] Tensor ids_of(Context& context, const Shape& shape, std::span<const std::int32_t> values);
/// An i64 tensor with these elements, which is how counts are passed.
[[nodiscard]] Tensor counts_of(Context& context, const Shape& shape, std::span<const std::int64_t> values);
/// The elements of an i32 or i64 tensor.
[[nodiscard]] std::vector<std::int64_t> integers_of(const Tensor& tensor);
/// Gives an f32, f64 or bf16 tensor these elements.
void write_values(std::span<const double> values, const Tensor& tensor);
/// The elements of an f32, f64 or bf16 tensor.
[[nodiscard]] std::vector<double> values_of(const Tensor& tensor);

[[nodiscard]] bool same_bits(const Tensor& a, const Tensor& b);
[[nodiscard]] std::uint64_t digest_of(const Tensor& tensor);
/// max |a - b| / max(floor, max |b|). If both are zero, it is the absolute difference. It is infinite if
/// there is a NaN or the sizes differ.
[[nodiscard]] double relative_difference(std::span<const double> a, std::span<const double> b,
                                         double floor = 0.0);

/// A tensor inside a larger one whose margins are NaN. If code reads past its ends, the result shows it. If
/// code writes past them, intact() shows it. Its first element is aligned to no more than its own size.
class Fenced {
 public:
  Fenced(Context& context, const Shape& shape, DType dtype);  ///< every element is NaN
  Fenced(Context& context, const Shape& shape, DType dtype, std::span<const double> values);
  [[nodiscard]] const Tensor& tensor() const { return inner_; }
  [[nodiscard]] bool intact() const;

 private:
  Tensor whole_, inner_;
};

}  // namespace granule::test
