#include "core/tensor.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/kernels/accumulate.hpp"
#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE(
    "tensor: a tensor has the shape, type and context it was made with, and an undefined one has none") {
  Context context;
  const Tensor tensor = Tensor::zeros(context, {2, 3}, DType::f64);
  CHECK(tensor.shape() == Shape{2, 3});
  CHECK(tensor.dtype() == DType::f64);
  CHECK(tensor.bytes() == 48);
  CHECK(&tensor.context() == &context);
  CHECK(values_of(tensor) == Numbers(6, 0.0));
  const Tensor undefined;
  CHECK_FALSE(undefined.defined());
  CHECK(undefined.numel() == 0);
  CHECK_THROWS_WITH(undefined.context(), Catch::Contains("undefined"));
  CHECK_THROWS_WITH(undefined.data<float>(), Catch::Contains("undefined"));
}

TEST_CASE("tensor: copies, views and slices share the elements") {
  Context context;
  const Tensor tensor = tensor_of(context, {2, 3}, DType::f32, Numbers{0, 1, 2, 3, 4, 5});
  CHECK(values_of(tensor.view({3, 2})) == Numbers{0, 1, 2, 3, 4, 5});
  const Tensor row = tensor.slice(3, {1, 3});
  CHECK(values_of(row) == Numbers{3, 4, 5});
  CHECK(values_of(row.slice(1, {2})) == Numbers{4, 5});
  row.data<float>()[0] = 30.0F;
  CHECK(values_of(tensor) == Numbers{0, 1, 2, 30, 4, 5});
  CHECK(tensor.slice(6, {0}).numel() == 0);
}

TEST_CASE("tensor: views and slices outside the tensor are refused with both numbers") {
  Context context;
  const Tensor tensor = Tensor::zeros(context, {2, 3}, DType::f32);
  CHECK_THROWS_WITH(tensor.view({7}), Catch::Contains("6") && Catch::Contains("7"));
  CHECK_THROWS_WITH(tensor.slice(4, {3}), Catch::Contains("[4, 7) of 6"));
  CHECK_THROWS_AS(tensor.slice(-1, {1}), Error);
}

TEST_CASE("tensor: asking for another type than a tensor holds is refused by name") {
  Context context;
  const Tensor tensor = Tensor::zeros(context, {1}, DType::f32);
  CHECK_THROWS_WITH(tensor.data<double>(), Catch::Contains("holds f32, asked for f64"));
  CHECK_THROWS_WITH(tensor.item<double>(), Catch::Contains("holds f32"));
  CHECK_THROWS_WITH(Tensor::zeros(context, {2}, DType::f32).item<float>(), Catch::Contains("2 elements"));
  CHECK(tensor.item<float>() == 0.0F);
  CHECK_THROWS_WITH(dispatch_float(DType::bf16, []<class T>() {}), Catch::Contains("bf16"));
}

TEST_CASE("tensor: accumulate overwrites with beta 0, without reading, and adds with beta 1") {
  Context context({.threads = 2});
  for (const std::int64_t n : {0, 1, 1000, 200000}) {
    const Numbers a = normal_values(n, 1), b = normal_values(n, 2);
    const Tensor source = tensor_of(context, {n}, DType::f64, a);
    const Fenced destination(context, {n}, DType::f64);
    accumulate(source, {destination.tensor(), 0.0});
    CHECK(values_of(destination.tensor()) == a);
    accumulate(tensor_of(context, {n}, DType::f64, b), {destination.tensor(), 1.0});
    Numbers sum(a.size());
    std::transform(a.begin(), a.end(), b.begin(), sum.begin(), std::plus<>());
    CHECK(values_of(destination.tensor()) == sum);
    CHECK(destination.intact());
  }
  const Tensor three = Tensor::zeros(context, {3}, DType::f32);
  CHECK_THROWS_WITH(accumulate(three, {Tensor::zeros(context, {2}, DType::f32), 0.0}),
                    Catch::Contains("accumulate: 3 elements into 2"));
  CHECK_THROWS_AS(accumulate(three, {Tensor::zeros(context, {3}, DType::f64), 0.0}), Error);
}

TEST_CASE("tensor: fill_zero clears all bytes and no others") {
  Context context({.threads = 3});
  const Fenced tensor(context, {3, 1 << 19}, DType::f32);
  fill_zero(tensor.tensor());
  const auto span = tensor.tensor().span<const float>();
  CHECK(std::all_of(span.begin(), span.end(), [](float x) { return x == 0.0F; }));
  CHECK(tensor.intact());
}
