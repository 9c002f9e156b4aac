#include "autograd/hand_over.hpp"

#include <memory>

#include "autograd/functions.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// y = x and dx = dy, as the same tensors. It notes the gradient that it was given.
struct PassOn {
  std::shared_ptr<Tensor> seen;

  static constexpr std::string_view kName = "pass_on";
  [[nodiscard]] Tensor forward(const Tensor& x) const { return x; }
  [[nodiscard]] Tensor backward(const Tensor& dy) const { return *seen = dy; }
};

Tensor numbers(Context& context, const Numbers& values) {
  return tensor_of(context, {std::ssize(values)}, DType::f64, values);
}

void run_backward(Tape& tape, const Var& y, const Tensor& seed) {
  const std::array outputs{y};
  const std::array seeds{seed};
  tape.backward(outputs, seeds);
}

}  // namespace

TEST_CASE("hand_over: values and gradients are handed on as the tensors that they are") {
  TestContext context;
  Tape tape;
  const Recording on(&tape);
  const PassOn op{std::make_shared<Tensor>()};
  const Var x = tape.input(numbers(context, {1, 2}));
  const Var y = hand_over(op, x);
  CHECK(same_bits(y.value, x.value));
  const Tensor seed = numbers(context, {3, 4});
  const std::int64_t before = context.memory().current_total();
  run_backward(tape, y, seed);
  CHECK(context.memory().peak_total() == before);  // nothing was copied
  CHECK(values_of(tape.take_grad(x.slot)) == Numbers{3, 4});
}

TEST_CASE("hand_over: the gradients of an input that is used twice are added") {
  TestContext context;
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers(context, {1, 2}));
  const Var once = hand_over(PassOn{std::make_shared<Tensor>()}, x);
  const Var again = hand_over(PassOn{std::make_shared<Tensor>()}, x);
  const Var sum = add(once, again);
  run_backward(tape, sum, numbers(context, {3, 4}));
  CHECK(values_of(tape.take_grad(x.slot)) == Numbers{6, 8});
}

TEST_CASE("hand_over: without a tape, a gradient that is wanted or one that comes, backward does not run") {
  TestContext context;
  const PassOn op{std::make_shared<Tensor>()};
  const Var constant{numbers(context, {1, 2}), kConstant};
  CHECK(hand_over(op, constant).slot == kConstant);
  Tape tape, other;
  const Recording on(&tape);
  CHECK(hand_over(op, constant).slot == kConstant);
  const Var x = tape.input(numbers(context, {1, 2}));
  CHECK(hand_over(op, x).slot != kConstant);  // nobody uses it
  run_backward(tape, x, numbers(context, {3, 4}));
  CHECK_FALSE(op.seen->defined());
  const Var foreign = other.input(numbers(context, {1}));
  CHECK_THROWS_WITH(hand_over(op, foreign), Catch::Contains("pass_on was recorded on tape"));
}
