#include "autograd/recompute.hpp"

#include "autograd/functions.hpp"
#include "core/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kRows = 6, kWidth = 5, kHidden = 7;

enum class Mode { plain, recomputed };

/// A feed-forward block with a residual. It has two outputs, and a decision that must not be made twice.
class Block {
 public:
  explicit Block(Context& context) : context_(context) {
    const auto make = [&](Leaf& leaf, const Shape& shape, std::uint64_t seed) {
      leaf.value = tensor_of(context, shape, DType::f64, normal_values(shape.numel(), seed, 0.5));
      leaf.grad = {Tensor::empty(context, shape, DType::f64), 0.0};
    };
    make(norm_, {kWidth}, 1);
    make(up_, {2 * kHidden, kWidth}, 2);
    make(down_, {kWidth, kHidden}, 3);
    make(table_, {9, kWidth}, 4);
  }

  std::vector<Var> run(Kept& kept, const Var& x) {
    ++runs;
    const Tensor choice = kept.once([&] { return decide(); });
    const Var chosen = embedding(Param{&table_}, choice);
    const Var mixed = add(x, chosen);
    const Var normed = rms_norm(mixed, Param{&norm_}, 1e-6);
    const Var hidden = linear(normed, Param{&up_});
    const Var active = swiglu(hidden);
    const Var y = linear(active, Param{&down_});
    return {add(y, mixed), normed};
  }

  std::vector<Var> operator()(Mode mode, const Var& x) {
    const Region region = [this](Kept& kept, const std::vector<Var>& in) { return run(kept, in[0]); };
    Kept kept;
    return mode == Mode::plain ? region(kept, {x}) : recompute(region, {x});
  }

  std::array<Leaf*, 4> leaves() { return {&norm_, &up_, &down_, &table_}; }
  int runs = 0, decisions = 0;

 private:
  /// Each call decides differently, as a router might if its inputs were rounded differently.
  Tensor decide() {
    std::vector<std::int32_t> ids;
    for (std::uint64_t i = 0; i < kRows; ++i)
      ids.push_back(static_cast<std::int32_t>(
          RandomStream(static_cast<std::uint64_t>(decisions), "choice").below(9, i)));
    ++decisions;
    return ids_of(context_, {kRows}, ids);
  }

  Context& context_;
  Leaf norm_, up_, down_, table_;
};

struct Result {
  std::vector<Numbers> outputs, gradients;
  int runs, decisions;
  std::int64_t activations;  // bytes alive between forward and backward
};

/// Two blocks in sequence. The loss sees all four outputs, or only the first one of the last block.
Result run(Mode mode, bool all_outputs = true) {
  test::TestContext context({.threads = 2, .poison = Poison::yes, .step_memory = 1 << 26});
  Result result{};
  {
    Block block(context);
    Tape tape;
    const Recording on(&tape);
    const Var x =
        tape.input(tensor_of(context, {kRows, kWidth}, DType::f64, normal_values(kRows * kWidth, 9)));
    const std::int64_t before = context.memory().current_total();
    const std::vector<Var> first = block(mode, x);
    const std::vector<Var> second = block(mode, first[0]);  // the same parameters again
    result.activations = context.memory().current_total() - before;
    std::vector<Var> outputs{second[0]};
    if (all_outputs) outputs.insert(outputs.end(), {second[1], first[1], first[0]});
    std::vector<Tensor> seeds;
    for (const Var& y : outputs) {
      result.outputs.push_back(values_of(y.value));
      seeds.push_back(
          tensor_of(context, y.value.shape(), DType::f64, normal_values(y.value.numel(), seeds.size() + 20)));
    }
    tape.backward(outputs, seeds);
    result.gradients.push_back(values_of(tape.take_grad(x.slot)));
    for (const Leaf* leaf : block.leaves()) result.gradients.push_back(values_of(leaf->grad.dst));
    result.runs = block.runs;
    result.decisions = block.decisions;
  }
  CHECK(context.memory().current_total() == 0);
  CHECK(context.step_memory().damaged_blocks() == 0);
  return result;
}

}  // namespace

TEST_CASE("recompute: recomputation changes no bit of any output or gradient and makes no decision twice") {
  for (const bool all_outputs : {true, false}) {
    const Result plain = run(Mode::plain, all_outputs), again = run(Mode::recomputed, all_outputs);
    CHECK(again.outputs == plain.outputs);
    CHECK(again.gradients == plain.gradients);
    CHECK(plain.runs == 2);
    CHECK(again.runs == 4);
    CHECK(plain.decisions == 2);
    CHECK(again.decisions == 2);
    CHECK(again.activations < plain.activations / 2);
  }
}

TEST_CASE("recompute: without a tape a region runs once and keeps nothing") {
  test::TestContext context({.step_memory = 1 << 26});
  Block block(context);
  const Var x{Tensor::zeros(context, {kRows, kWidth}, DType::f64)};
  const std::vector<Var> y = block(Mode::recomputed, x);
  CHECK(y.size() == 2);
  CHECK(y[0].slot == kConstant);
  CHECK((block.runs == 1 && block.decisions == 1));
}

TEST_CASE("recompute: a region whose outputs do not reach the loss is not run again") {
  test::TestContext context({.step_memory = 1 << 26});
  Block block(context);
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(Tensor::zeros(context, {kRows, kWidth}, DType::f64));
  const std::vector<Var> unused = block(Mode::recomputed, x);
  const Var y = add(x, x);
  const std::array outputs{y};
  const std::array seeds{Tensor::zeros(context, {kRows, kWidth}, DType::f64)};
  tape.backward(outputs, seeds);
  CHECK(block.runs == 1);
  CHECK(unused.size() == 2);
}

TEST_CASE("recompute: a region may hand its input through, and an input may be a constant") {
  test::TestContext context({.step_memory = 1 << 26});
  Tape tape;
  const Recording on(&tape);
  const auto number = [&](double v) { return tensor_of(context, {1}, DType::f64, Numbers{v}); };
  const Var x = tape.input(number(3.0)), constant{number(4.0)};
  const std::vector<Var> y = recompute(
      [](Kept&, const std::vector<Var>& in) {
        return std::vector<Var>{in[0], add(in[0], in[1]), in[1]};
      },
      {x, constant});
  const std::array seeds{number(1.0), number(10.0), number(100.0)};
  tape.backward(y, seeds);
  CHECK(values_of(tape.take_grad(x.slot)) == Numbers{11.0});
}

TEST_CASE("recompute: marks inside a region come when backward passes them there") {
  test::TestContext context({.step_memory = 1 << 26});
  std::vector<std::string> log;
  Tape tape;
  const Recording on(&tape);
  const auto number = [&](double v) { return tensor_of(context, {1}, DType::f64, Numbers{v}); };
  const auto mark = [&](const char* name) {
    if (Tape* const current = current_tape()) current->mark([&log, name] { log.emplace_back(name); });
  };
  const Var x = tape.input(number(1.0));
  mark("before");
  const std::vector<Var> y = recompute(
      [&](Kept&, const std::vector<Var>& in) {
        mark("inside");
        return std::vector<Var>{add(in[0], in[0])};
      },
      {x});
  mark("behind");
  const std::array seeds{number(1.0)};
  tape.backward(y, seeds);
  CHECK(log == std::vector<std::string>{"behind", "inside", "before"});
}

TEST_CASE(
    "recompute: a residual connection's gradient is added to where it is, with and without recomputation") {
  TestContext context;
  Leaf weight;
  weight.value = tensor_of(context, {kWidth, kWidth}, DType::f64, normal_values(kWidth * kWidth, 1));
  const Region region = [&](Kept&, const std::vector<Var>& in) {
    const Var once = linear(in[0], Param{&weight});
    const Var twice = linear(once, Param{&weight});
    return std::vector<Var>{add(in[0], twice)};
  };
  for (const Mode mode : {Mode::plain, Mode::recomputed}) {
    Tape tape;
    const Recording on(&tape);
    const Var x =
        tape.input(tensor_of(context, {kRows, kWidth}, DType::f64, normal_values(kRows * kWidth, 2)));
    Kept kept;
    const Var y = (mode == Mode::plain ? region(kept, {x}) : recompute(region, {x}))[0];
    std::vector<Tensor> seeds{
        tensor_of(context, {kRows, kWidth}, DType::f64, normal_values(kRows * kWidth, 3))};
    const std::byte* const place = seeds[0].raw();
    tape.backward(std::array{y}, std::move(seeds));
    CHECK(tape.take_grad(x.slot).raw() == place);
  }
}
