#include "autograd/tape.hpp"

#include <optional>

#include "autograd/functions.hpp"
#include "autograd/recompute.hpp"
#include "core/error.hpp"
#include "core/kernels/accumulate.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Log = std::vector<std::string>;

/// y = factor x. Backward adds a line to a log.
struct Scale {
  static constexpr std::string_view kName = "scale";
  double factor = 1.0;
  Log* log = nullptr;
  std::string name{};
  struct Saved {};
  Tensor forward(Saved*, const Tensor& x) const { return scaled(x); }
  void backward(const Saved&, const Tensor& dy, const Grad& dx) const {
    if (log != nullptr) log->push_back(name);
    if (dx) accumulate(scaled(dy), dx);
  }
  Tensor scaled(const Tensor& x) const {
    Numbers values = values_of(x);
    for (double& v : values) v *= factor;
    return tensor_of(x.context(), x.shape(), x.dtype(), values);
  }
};

/// y = a ∘ b. It writes its destinations in its own order, as a fused kernel may.
struct Multiply {
  static constexpr std::string_view kName = "multiply";
  struct Saved {
    Tensor a, b;
  };
  static Tensor product(const Tensor& a, const Tensor& b) {
    Numbers values = values_of(a);
    const Numbers other = values_of(b);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] *= other[i];
    return tensor_of(a.context(), a.shape(), a.dtype(), values);
  }
  Tensor forward(Saved* saved, const Tensor& a, const Tensor& b) const {
    if (saved != nullptr) *saved = {a, b};
    return product(a, b);
  }
  void backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const {
    if (db) accumulate(product(dy, saved.a), db);
    if (da) accumulate(product(dy, saved.b), da);
  }
};

/// y = u ∘ v of two parameters.
struct MultiplyParameters {
  static constexpr std::string_view kName = "multiply_parameters";
  struct Saved {};
  Tensor forward(Saved*, const Tensor& u, const Tensor& v) const { return Multiply::product(u, v); }
  void backward(const Saved&, const Tensor& u, const Tensor& v, const Tensor& dy, const Grad& du,
                const Grad& dv) const {
    if (dv) accumulate(Multiply::product(dy, u), dv);
    if (du) accumulate(Multiply::product(dy, v), du);
  }
};

class Fixture {
 protected:
  Tensor numbers(const Numbers& values) {
    return tensor_of(context_, {static_cast<std::int64_t>(values.size())}, DType::f64, values);
  }
  void backward(Tape& tape, const Var& y, const Numbers& seed) {
    const std::array outputs{y};
    const std::array seeds{numbers(seed)};
    tape.backward(outputs, seeds);
  }
  Numbers gradient(Tape& tape, const Var& x) { return values_of(tape.take_grad(x.slot)); }
  /// A parameter whose gradient starts a step: beta is 0, and the destination contains garbage.
  Leaf leaf(const Numbers& values) { return {numbers(values), {numbers(Numbers(values.size(), 1e9)), 0.0}}; }

  Context context_{{.poison = Poison::yes, .step_memory = std::int64_t{1} << 30}};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "nodes run exactly backwards and marks when all that came after them is done") {
  Log log;
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({1.0}));
  tape.mark([&] { log.push_back("mark 1"); });
  const Var a = apply(Scale{2.0, &log, "a"}, x);
  const Var b = apply(Scale{3.0, &log, "b"}, x);
  tape.mark([&] { log.push_back("mark 2"); });
  const Var c = apply(Scale{5.0, &log, "c"}, a);
  const Var y = add(c, b);
  CHECK(tape.size() == 6);
  backward(tape, y, {1.0});
  CHECK(log == Log{"c", "mark 2", "b", "a", "mark 1"});
  CHECK(tape.size() == 0);
  CHECK(gradient(tape, x) == Numbers{13.0});
}

TEST_CASE_METHOD(Fixture, "a value used several times gets the sum of its gradients") {
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({1.0, -2.0}));
  const Var two = apply(Scale{2.0}, x);
  const Var three = apply(Scale{3.0}, x);
  const Var sum = add(two, three);
  const Var y = add(sum, x);
  backward(tape, y, {1.0, 10.0});
  CHECK(gradient(tape, x) == Numbers{6.0, 60.0});
}

TEST_CASE_METHOD(Fixture, "a sum hands its gradient on, and it is copied before something is added to it") {
  Tape tape;
  const Recording on(&tape);
  const Var u = tape.input(numbers({1.0, -2.0})), x = tape.input(numbers({5.0, 6.0}));
  const Var once = add(u, x);
  const Tensor seed = numbers({3.0, 4.0});
  const std::array seeds{seed};
  const std::int64_t before = context_.memory().current_total();
  tape.backward(std::array{once}, seeds);
  CHECK(context_.memory().peak_total() == before);
  for (const Var& input : {u, x}) CHECK(tape.take_grad(input.slot).raw() == seed.raw());

  const Var again = add(add(u, x), x);
  tape.backward(std::array{again}, seeds);
  CHECK(gradient(tape, x) == Numbers{6.0, 8.0});
  CHECK(gradient(tape, u) == Numbers{3.0, 4.0});
  CHECK(values_of(seed) == Numbers{3.0, 4.0});
}

TEST_CASE_METHOD(Fixture, "a gradient that others have is copied before an operator adds to it") {
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({5.0, 6.0})), u = tape.input(numbers({1.0, -2.0}));
  const Var scaled = apply(Scale{10.0}, x);
  const Var sum = add(add(u, x), scaled);
  backward(tape, sum, {3.0, 4.0});
  CHECK(gradient(tape, x) == Numbers{33.0, 44.0});
  CHECK(gradient(tape, u) == Numbers{3.0, 4.0});
}

TEST_CASE_METHOD(Fixture, "f(x, x) gets both gradients, of a value and of a parameter, with beta 0 and 1") {
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({3.0, -2.0}));
  const Var square = apply(Multiply{}, x, x);
  const Var doubled = add(x, x);
  const Var y = add(square, doubled);
  backward(tape, y, {1.0, 1.0});
  CHECK(gradient(tape, x) == Numbers{2 * 3.0 + 2, 2 * -2.0 + 2});

  Leaf w = leaf({3.0, -2.0});
  // The second pass adds to the first.
  for (const Numbers& expected : {Numbers{6.0, -4.0}, Numbers{12.0, -8.0}}) {
    const Var z = apply(MultiplyParameters{}, Param{&w}, Param{&w});
    backward(tape, z, {1.0, 1.0});
    CHECK(values_of(w.grad.dst) == expected);
  }
}

TEST_CASE_METHOD(Fixture, "backward takes any outputs with their seeds, intermediate ones and one twice") {
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({1.0}));
  const Var a = apply(Scale{2.0}, x);
  const Var b = apply(Scale{3.0}, a);
  const Var c = apply(Scale{5.0}, a);
  const std::array outputs{b, a, c, c};
  const std::array seeds{numbers({1.0}), numbers({10.0}), numbers({100.0}), numbers({1000.0})};
  tape.backward(outputs, seeds);
  CHECK(gradient(tape, x) == Numbers{2.0 * (3.0 + 10.0 + 5.0 * 1100.0)});
}

TEST_CASE_METHOD(Fixture, "backward refuses seeds that do not match their outputs") {
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({1.0, 2.0}));
  const Var y = apply(Scale{2.0}, x);
  const std::array outputs{y};
  CHECK_THROWS_WITH(tape.backward(outputs, std::span<const Tensor>{}), Catch::Contains("1 outputs, 0 seeds"));
  CHECK_THROWS_WITH(backward(tape, y, {1.0}), Catch::Contains("output 0 is [2], its seed [1]"));
  const std::array narrow{tensor_of(context_, {2}, DType::f32, Numbers{1.0, 1.0})};
  CHECK_THROWS_WITH(tape.backward(outputs, narrow), Catch::Contains("output 0 is f64, its seed f32"));
  CHECK_THROWS_WITH(backward(tape, Var{numbers({1.0})}, {1.0}), Catch::Contains("output 0 was not recorded"));
}

TEST_CASE_METHOD(Fixture, "what does not reach the outputs is not run, and its parameters keep their beta") {
  Log log;
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({1.0}));
  Leaf used = leaf({2.0}), unused = leaf({2.0});
  const Var side = apply(Scale{2.0, &log, "side"}, x);
  const Var dead = apply(MultiplyParameters{}, Param{&unused}, Param{&unused});
  const Var y = apply(MultiplyParameters{}, Param{&used}, Param{&used});
  backward(tape, y, {1.0});
  CHECK(log.empty());
  CHECK(used.grad.beta == 1.0);
  CHECK(unused.grad.beta == 0.0);
  CHECK_FALSE(tape.take_grad(x.slot).defined());
  CHECK((side.slot != kConstant && dead.slot != kConstant));
}

TEST_CASE_METHOD(Fixture, "several tapes live at once and run in any order") {
  Leaf w = leaf({1.0, 1.0, 1.0});
  w.value = tensor_of(context_, {3}, DType::f64, Numbers{1.0, 2.0, 3.0});
  Tape first, second;
  std::array<Var, 2> x, y;
  std::size_t i = 0;
  for (Tape* const tape : {&first, &second}) {
    const Recording on(tape);
    x.at(i) = tape->input(tensor_of(context_, {1, 3}, DType::f64, Numbers{double(i + 1), 0.0, 0.0}));
    y.at(i) = rms_norm(x.at(i), Param{&w}, 1e-6);
    ++i;
  }
  CHECK(current_tape() == nullptr);
  const auto seed = [&] { return tensor_of(context_, {1, 3}, DType::f64, Numbers{1.0, 1.0, 1.0}); };
  const auto run = [&](Tape& tape, const Var& out) {
    const std::array outputs{out};
    const std::array seeds{seed()};
    tape.backward(outputs, seeds);
  };
  run(first, y[0]);
  CHECK(first.size() == 0);
  CHECK(second.size() == 1);
  const Numbers once = values_of(w.grad.dst);
  run(second, y[1]);
  // Normalisation makes the two inputs equal except for eps, so the parameter's gradient doubles.
  CHECK(values_of(w.grad.dst)[0] == Approx(2 * once[0]).epsilon(1e-5));
  CHECK(first.take_grad(x[0].slot).defined());
  CHECK(second.take_grad(x[1].slot).defined());
}

TEST_CASE_METHOD(Fixture,
                 "a value of one tape is refused on another, also on one that lies in the same place") {
  std::optional<Tape> tape(std::in_place);
  const Var old = tape->input(numbers({1.0}));
  const Tape* const place = &*tape;
  tape.emplace();
  REQUIRE(&*tape == place);
  const Recording on(&*tape);
  const Var own = tape->input(numbers({2.0}));
  REQUIRE(own.slot == old.slot);
  CHECK_THROWS_WITH(apply(Scale{2.0}, old), Catch::Contains("scale: an input was recorded on tape"));
  CHECK_THROWS_WITH(apply(Multiply{}, own, old), Catch::Contains("was recorded on tape"));
  CHECK_THROWS_WITH(backward(*tape, old, {1.0}), Catch::Contains("backward: an output was recorded on tape"));
  CHECK_THROWS_WITH(recompute([](Kept&, const std::vector<Var>& in) { return in; }, {old}),
                    Catch::Contains("recompute: an input was recorded on tape"));
  // As a value without a gradient it may be used anywhere.
  const Recording off(nullptr);
  CHECK(values_of(apply(Scale{2.0}, old).value) == Numbers{2.0});
}

TEST_CASE_METHOD(Fixture, "a tied parameter sums its uses, from zero in every step") {
  constexpr std::int64_t kRows = 4, kWidth = 3;
  const auto at_start = [&] {
    return Grad{tensor_of(context_, {kRows, kWidth}, DType::f64, Numbers(12, 7.0)), 0.0};
  };
  Leaf tied{tensor_of(context_, {kRows, kWidth}, DType::f64, normal_values(12, 1)), at_start()};
  Leaf table{tied.value, at_start()}, head{tied.value, at_start()};
  const Tensor ids = ids_of(context_, {2}, std::vector<std::int32_t>{1, 3});
  const auto step = [&](Leaf& embedded, Leaf& projected) {
    Tape tape;
    const Recording on(&tape);
    const Var x = embedding(Param{&embedded}, ids);
    const Var y = linear(x, Param{&projected});
    const std::array outputs{y};
    const std::array seeds{tensor_of(context_, {2, kRows}, DType::f64, normal_values(8, 2))};
    tape.backward(outputs, seeds);
  };
  step(table, head);
  Numbers expected = values_of(table.grad.dst);
  const Numbers other = values_of(head.grad.dst);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += other[i];
  for (int repetition = 0; repetition < 2; ++repetition) {
    tied.grad.beta = 0.0;  // as at the start of a step
    step(tied, tied);
    CHECK(relative_difference(values_of(tied.grad.dst), expected) <= 1e-15);
    CHECK(tied.grad.beta == 1.0);
  }
}

TEST_CASE_METHOD(Fixture, "a frozen parameter lets gradients pass and gets none") {
  Leaf w{tensor_of(context_, {2, 2}, DType::f64, Numbers{1, 2, 3, 4}), {}};
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(tensor_of(context_, {1, 2}, DType::f64, Numbers{1, 1}));
  const Var y = linear(x, Param{&w});
  const std::array outputs{y};
  const std::array seeds{tensor_of(context_, {1, 2}, DType::f64, Numbers{1, 10})};
  tape.backward(outputs, seeds);
  CHECK(gradient(tape, x) == Numbers{31, 42});
  CHECK_FALSE(w.grad);
  // If nothing needs a gradient, nothing is recorded.
  const Var constant = linear(Var{x.value}, Param{&w});
  CHECK(constant.slot == kConstant);
  CHECK(tape.size() == 0);
}

TEST_CASE_METHOD(Fixture, "a parameter's value is looked up again in backward") {
  Leaf w{tensor_of(context_, {1, 1}, DType::f64, Numbers{2}), {}};
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(tensor_of(context_, {1, 1}, DType::f64, Numbers{1}));
  const Var y = linear(x, Param{&w});
  w.value = {};  // a gathered shard is freed in between
  w.value = tensor_of(context_, {1, 1}, DType::f64, Numbers{5});
  const std::array outputs{y};
  const std::array seeds{tensor_of(context_, {1, 1}, DType::f64, Numbers{1})};
  tape.backward(outputs, seeds);
  CHECK(gradient(tape, x) == Numbers{5});
}

TEST_CASE_METHOD(Fixture, "nothing is recorded without a tape or inside Recording(nullptr)") {
  Tape tape;
  const Var x = tape.input(numbers({1.0}));
  CHECK(apply(Scale{2.0}, x).slot == kConstant);
  {
    const Recording on(&tape);
    {
      const Recording off(nullptr);
      CHECK(apply(Scale{2.0}, x).slot == kConstant);
    }
    CHECK(current_tape() == &tape);
    CHECK(apply(Scale{2.0}, x).slot != kConstant);
  }
  CHECK(current_tape() == nullptr);
  CHECK(tape.size() == 1);
}

TEST_CASE_METHOD(Fixture, "a chain of 300,000 operators runs and is freed without recursion") {
  for (const bool run : {true, false}) {
    Tape tape;
    const Recording on(&tape);
    const Var x = tape.input(numbers({0.0}));
    const Var one{numbers({1.0})};
    Var y = x;
    for (int i = 0; i < 300000; ++i) y = add(y, one);
    CHECK(tape.size() == 300000);
    CHECK(test::values_of(y.value) == test::Numbers{300000.0});
    if (run) {
      backward(tape, y, {1.0});
      CHECK(gradient(tape, x) == Numbers{1.0});
    }
  }
  CHECK(context_.step_memory().in_use() == 0);
}

TEST_CASE_METHOD(Fixture, "activations and gradients are freed as the tape runs") {
  constexpr std::int64_t kDepth = 20, kBytes = 8 * 1000;
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers(Numbers(1000, 1.0)));
  Var y = x;
  std::vector<std::int64_t> in_use;
  for (int i = 0; i < kDepth; ++i) {
    tape.mark([&] { in_use.push_back(context_.memory().current_total()); });
    y = apply(Multiply{}, y, y);  // it saves its input
  }
  CHECK(context_.memory().current_total() == (kDepth + 1) * kBytes);
  y.value = {};
  backward(tape, {numbers(Numbers(1000, 1.0)), y.slot, y.tape}, Numbers(1000, 1.0));
  REQUIRE(in_use.size() == kDepth);
  // At mark i, memory has the inputs saved before it (we also hold x), one gradient, the seed and the output.
  for (std::int64_t i = 0; i < kDepth; ++i) {
    const std::int64_t tensors = std::max<std::int64_t>(i, 1) + 3;
    CHECK(in_use[static_cast<std::size_t>(kDepth - 1 - i)] == tensors * kBytes);
  }
}

TEST_CASE_METHOD(Fixture, "a value that no operator saved is gone when nobody holds it") {
  Tape tape;
  const Recording on(&tape);
  Var x = tape.input(numbers({1, 2, 3, 4}));
  const std::int64_t before = context_.memory().current(MemoryCategory::activations);
  Var y = apply(Scale{2.0}, x);
  y = apply(Scale{3.0}, y);
  y = apply(Scale{5.0}, y);
  CHECK(context_.memory().current(MemoryCategory::activations) == before + y.value.bytes());
  backward(tape, y, {1, 1, 1, 1});
  CHECK(values_of(tape.take_grad(x.slot)) == Numbers{30, 30, 30, 30});
}

TEST_CASE_METHOD(Fixture, "time is counted by operator and direction") {
  context_.profile().start();
  Tape tape;
  const Recording on(&tape);
  const Var x = tape.input(numbers({1.0}));
  const Var y = add(x, x);
  backward(tape, y, {1.0});
  const auto& seconds = context_.profile().seconds();
  CHECK(seconds.count("add.forward") == 1);
  CHECK(seconds.count("add.backward") == 1);
}
