#include "core/kernels/accumulate.hpp"

#include <bit>
#include <cmath>

#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr DType kTypes[] = {DType::f32, DType::bf16};

/// A number as a tensor of this type stores it.
double stored(DType type, float value) {
  return static_cast<double>(type == DType::bf16 ? widened(bf16(value)) : value);
}

/// Numbers of float32 around every number of bf16: itself, below and above the middle to the next one, and
/// the middle.
Numbers around_every_bf16() {
  Numbers numbers;
  for (std::uint32_t upper = 0; upper < 0x10000U; ++upper) {
    for (const std::uint32_t lower : {0U, 0x7FFFU, 0x8000U, 0x8001U})
      numbers.push_back(static_cast<double>(std::bit_cast<float>(upper << 16U | lower)));
  }
  return numbers;
}

}  // namespace

TEST_CASE("accumulate: float32 is rounded to bf16 as bf16(float) rounds, around every number") {
  TestContext context;
  const Numbers numbers = around_every_bf16();
  const auto n = static_cast<std::int64_t>(numbers.size());
  const Tensor narrow = Tensor::empty(context, {n}, DType::bf16);
  accumulate(tensor_of(context, {n}, DType::f32, numbers), {narrow, 0.0});
  const Numbers found = values_of(narrow);
  std::size_t differ = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const double expected = stored(DType::bf16, static_cast<float>(numbers[i]));
    const bool same = std::isnan(expected)
                          ? std::isnan(found[i])
                          : found[i] == expected && std::signbit(found[i]) == std::signbit(expected);
    differ += same ? 0 : 1;
  }
  CHECK(differ == 0);
}

TEST_CASE("accumulate: sums of bf16 and float32 are float32, and rounded once") {
  TestContext context;
  for (const std::int64_t n : {0, 1, 7, 8, 9, 1003}) {
    for (const DType from : kTypes) {
      for (const DType to : kTypes) {
        CAPTURE(n, name_of(from), name_of(to));
        const Tensor source = tensor_of(context, {n}, from, normal_values(n, 1));
        const Numbers terms = values_of(source), rounded_before = normal_values(n, 2);
        for (const bool aligned : {true, false}) {
          for (const double beta : {0.0, 1.0}) {
            const Fenced fenced(context, {n}, to, rounded_before);
            const Tensor destination =
                aligned ? tensor_of(context, {n}, to, rounded_before) : fenced.tensor();
            const Numbers before = values_of(destination);
            accumulate(source, {destination, beta});
            Numbers expected;
            for (std::size_t i = 0; i < terms.size(); ++i)
              expected.push_back(
                  stored(to, static_cast<float>(terms[i]) + static_cast<float>(beta * before[i])));
            CHECK(values_of(destination) == expected);
            CHECK(fenced.intact());
          }
        }
      }
    }
  }
}

TEST_CASE("accumulate: beta 0 does not read what is there") {
  TestContext context;
  for (const DType to : kTypes) {
    const Fenced destination(context, {9}, to);  // of NaN
    accumulate(tensor_of(context, {9}, DType::f32, Numbers(9, 0.5)), {destination.tensor(), 0.0});
    CHECK(values_of(destination.tensor()) == Numbers(9, 0.5));
  }
}

TEST_CASE("fill: every element is the number as its type stores it, and nothing beside it") {
  TestContext context;
  for (const std::int64_t n : {0, 1, 8, 1003}) {
    for (const DType type : kTypes) {
      for (const double value : {0.0, 0.1}) {
        const Fenced filled(context, {n}, type);
        fill(filled.tensor(), value);
        CHECK(values_of(filled.tensor()) ==
              Numbers(static_cast<std::size_t>(n), stored(type, static_cast<float>(value))));
        CHECK(filled.intact());
      }
    }
  }
}
