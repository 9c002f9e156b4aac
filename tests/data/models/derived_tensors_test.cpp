#include "data/models/derived_tensors.hpp"

#include <numeric>

#include "core/error.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

namespace {

TensorToSave matrix(const std::vector<float>& values, std::int64_t rows, std::string name = "m") {
  return tensor_of_bytes({std::move(name), DType::f32, {rows, std::ssize(values) / rows}},
                         std::as_bytes(std::span(values)));
}

std::vector<float> counted(std::size_t size) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

/// The values, read in pieces of `step` elements.
std::vector<double> read_by(const TensorToSave& tensor, std::int64_t step) {
  TensorToSave stepped = tensor;
  const auto bytes = static_cast<std::size_t>(step * size_of(tensor.spec.dtype));
  stepped.read = [tensor, bytes](std::int64_t offset, std::span<std::byte> out) {
    for (; !out.empty(); out = out.subspan(std::min(bytes, out.size()))) {
      tensor.read(offset, out.first(std::min(bytes, out.size())));
      offset += static_cast<std::int64_t>(std::min(bytes, out.size()));
    }
  };
  return values_read(stepped);
}

}  // namespace

TEST_CASE("derived_tensors: rows in another order, read in pieces that end inside rows") {
  const std::vector<float> values = counted(12);
  const TensorToSave turned = with_rows(matrix(values, 4), [](std::int64_t row) { return 3 - row; });
  const std::vector<double> expected{10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3};
  for (const std::int64_t step : {1, 2, 5, 12}) CHECK(read_by(turned, step) == expected);
}

TEST_CASE("derived_tensors: tensors of different types are stacked in the type that holds both") {
  const std::vector<float> a = counted(6);
  const std::vector<double> b{0.1, 2, 3, 4, 5, 6};
  const auto wide = tensor_of_bytes({"b", DType::f64, {2, 3}}, std::as_bytes(std::span(b)));
  const TensorToSave both = stacked("s", {matrix(a, 2), wide});
  CHECK(both.spec.name == "s");
  CHECK(both.spec.dtype == DType::f64);
  CHECK(both.spec.shape == std::vector<std::int64_t>{2, 2, 3});
  for (const std::int64_t step : {1, 4, 7, 12})
    CHECK(read_by(both, step) == std::vector<double>{1, 2, 3, 4, 5, 6, 0.1, 2, 3, 4, 5, 6});
  const TensorToSave narrow = converted(matrix(a, 2), DType::bf16);
  CHECK(stacked("s", {narrow, narrow}).spec.dtype == DType::bf16);
  CHECK(read_by(stacked("s", {narrow, matrix(a, 2)}), 5).size() == 12);
}

TEST_CASE("derived_tensors: scaled values are exact for a power of two, whatever the type") {
  const std::vector<float> values{1.5F, -3.0F, 0.1F, 1e-30F};
  const std::vector<double> expected{3.0, -6.0, 2.0 * double(0.1F), 2.0 * double(1e-30F)};
  CHECK(values_read(scaled(matrix(values, 1), 2.0)) == expected);
  const TensorToSave half = converted(matrix(values, 1), DType::bf16);
  const std::vector<double> rounded = values_read(half);
  const std::vector<double> twice = values_read(converted(scaled(half, 2.0), DType::bf16));
  for (std::size_t i = 0; i < rounded.size(); ++i) CHECK(twice[i] == 2.0 * rounded[i]);
}

TEST_CASE("derived_tensors: zeros, names, and values that f16 cannot hold") {
  CHECK(values_read(zeros({"z", DType::f32, {2, 2}})) == std::vector<double>(4, 0.0));
  const std::vector<float> fits{65504.0F, -1.0F}, large{65504.0F, 65520.0F};
  CHECK(renamed(matrix(fits, 1), "other").spec.name == "other");
  CHECK(values_read(narrowed(matrix(fits, 1), DType::f16)) == std::vector<double>{65504.0, -1.0});
  CHECK_THROWS_WITH(values_read(narrowed(matrix(large, 1, "w"), DType::f16)),
                    Catch::Contains("tensor 'w' has a value that f16 cannot hold"));
  CHECK(values_read(narrowed(matrix(large, 1), DType::f32))[1] == 65520.0);
}
