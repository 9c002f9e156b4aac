#include "nn/parameters.hpp"

#include <cmath>

#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

BlockSpec fused(const std::string& prefix) {
  return {{5, 3}, {{prefix + ".a", {2, 3}}, {prefix + ".b", {3, 3}}}};
}

}  // namespace

TEST_CASE("blocks lie aligned in one arena, their parts are sub-ranges, padding is zero and not counted") {
  TestContext context;
  ParameterStore store;
  const Param first = store.declare(fused("x"));
  const Param norm = store.declare("norm", {7}, ParameterRole::norm);
  store.materialise(context, DType::f32, Gradients::yes);
  CHECK(store.count() == 15 + 7);
  CHECK(store.values().numel() % 64 == 0);
  CHECK(store.find("x.b").offset == 6);
  CHECK(store.find("norm").offset == 64);
  store.initialise(1, 0.5);
  CHECK(first.value().shape() == Shape{5, 3});
  CHECK(values_of(first.value())[6] == values_of(store.value_of(store.find("x.b")))[0]);
  CHECK(values_of(norm.value()) == std::vector<double>(7, 1.0));
  for (const std::size_t padding : {15U, 63U, 71U, 127U}) CHECK(values_of(store.values())[padding] == 0.0);
}

TEST_CASE("initial values depend on seed, name and element alone") {
  TestContext context;
  ParameterStore one, other;
  one.declare("a", {3, 4});
  one.declare(fused("x"));
  other.declare("between", {100, 3});  // a different layout
  other.declare(fused("x"));
  for (ParameterStore* const store : {&one, &other}) {
    store->materialise(context, DType::f64, Gradients::no);
    store->initialise(5, 0.006);
  }
  const auto values = [](const ParameterStore& store) {
    return values_of(store.value_of(store.find("x.b")));
  };
  CHECK(values(one) == values(other));
  other.initialise(6, 0.006);
  CHECK(values(one) != values(other));
}

TEST_CASE("initial matrices have mean 0 and the standard deviation asked for, biases are 0") {
  TestContext context;
  ParameterStore store;
  store.declare("w", {200, 300});
  store.declare("b", {9}, ParameterRole::bias);
  store.materialise(context, DType::f64, Gradients::no);
  store.initialise(0, 0.02);
  double sum = 0.0, squares = 0.0;
  const auto values = values_of(store.value_of(store.find("w")));
  for (const double value : values) sum += value, squares += value * value;
  const auto n = static_cast<double>(values.size());
  // With 60,000 draws, the mean is known to 0.02 / 245 = 8e-5, and the deviation to 0.02 / 346 = 6e-5. The
  // limits are five times that.
  CHECK(std::abs(sum / n) < 4e-4);
  CHECK(std::abs(std::sqrt(squares / n) - 0.02) < 3e-4);
  CHECK(values_of(store.value_of(store.find("b"))) == std::vector<double>(9, 0.0));
}

TEST_CASE("a gradient nobody contributed to in a step is zeroed, others are kept") {
  TestContext context;
  ParameterStore store;
  const Param used = store.declare("used", {2}), idle = store.declare("idle", {2});
  store.materialise(context, DType::f64, Gradients::yes);
  for (const Param parameter : {used, idle}) {
    fill(parameter.leaf->grad.dst, 3.0);
  }
  store.begin_step();
  CHECK(used.leaf->grad.beta == 0.0);
  used.leaf->grad.beta = 1.0;  // as after a contribution
  store.finish_gradients();
  CHECK(values_of(used.leaf->grad.dst) == std::vector<double>{3.0, 3.0});
  CHECK(values_of(idle.leaf->grad.dst) == std::vector<double>{0.0, 0.0});
}

TEST_CASE("declarations that contradict themselves are refused") {
  TestContext context;
  ParameterStore store;
  store.declare("a", {2});
  CHECK_THROWS_AS(store.declare("a", {2}), Error);
  CHECK_THROWS_AS(store.declare(BlockSpec{{4}, {{"b", {3}}}}), Error);
  store.materialise(context, DType::f32, Gradients::yes);
  CHECK_THROWS_AS(store.declare("late", {1}), Error);
  CHECK_THROWS_AS(store.materialise(context, DType::f32, Gradients::yes), Error);
  CHECK_THROWS_AS(store.find("nobody"), Error);
}

TEST_CASE("parameters: values, gradients and masters have the types of the precision") {
  CHECK(Precision(DType::f32) == Precision(DType::f32));
  CHECK_FALSE(Precision(DType::f64).keeps_masters());
  CHECK(Precision(DType::bf16).gradients == DType::f32);
  CHECK(Precision(DType::bf16).masters == DType::f32);
  CHECK(Precision(DType::bf16).keeps_masters());
  TestContext context;
  ParameterStore store;
  store.declare("w", {5, 13});
  store.materialise(context, DType::bf16, Gradients::yes);
  CHECK(store.values().dtype() == DType::bf16);
  CHECK(store.gradients().dtype() == DType::f32);
  CHECK(context.memory().current(MemoryCategory::weights) == 2 * store.arena_size());
  CHECK(context.memory().current(MemoryCategory::gradients) == 4 * store.arena_size());
}

TEST_CASE("parameters: frozen blocks come after all trainable ones, and have values but no gradient") {
  for (const Residence held : {Residence::whole, Residence::whole_values}) {
    TestContext context;
    ParameterStore store;
    BlockSpec spec = fused("frozen");
    spec.trainable = false;
    const Param frozen = store.declare(spec);
    const Param beside = store.declare("beside", {7});
    store.next_unit();
    const Param last = store.declare("last", {70});
    store.materialise(context, DType::f64, Gradients::yes, held);
    REQUIRE(store.buckets().size() == 3);
    CHECK(store.buckets()[0].trainable);
    CHECK_FALSE(store.buckets()[2].trainable);
    CHECK(store.buckets()[2].unit == 0);
    CHECK(store.trainable_size() == 64 + 128);
    CHECK(store.arena_size() == 64 + 128 + 64);
    CHECK(store.find("frozen.a").offset == store.trainable_size());
    CHECK(store.count() == 15 + 7 + 70);
    CHECK(frozen.value().shape() == Shape{5, 3});
    CHECK_FALSE(frozen.leaf->wants_gradient());
    CHECK(beside.leaf->wants_gradient());
    CHECK(last.leaf->wants_gradient());
    CHECK(context.memory().current(MemoryCategory::gradients) ==
          (held == Residence::whole ? 8 * store.trainable_size() : 0));
    CHECK_THROWS_AS(store.bind_gradients(store.buckets()[2], Tensor()), Error);
    if (held == Residence::whole) CHECK_FALSE(store.gradient_of(store.find("frozen.a")).defined());
    store.begin_step();
    store.finish_gradients();
  }
}
