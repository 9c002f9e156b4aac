#include "autograd/functions.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// A small network of the functions that modules call: embedding, norm, bias, rotation, gate, residual.
class Network {
 public:
  static constexpr std::int64_t kRows = 3, kWidth = 4, kVocabulary = 6;

  Network()
      : table_(context_, DType::f64, 2, 100.0, 10),
        ids_(ids_of(context_, {kRows}, std::vector<std::int32_t>{5, 1, 5})),
        positions_(ids_of(context_, {kRows}, std::vector<std::int32_t>{0, 3, 9})) {
    make({kVocabulary, kWidth});  // embedding, tied to the output
    make({kWidth});               // norm
    make({2 * kWidth, kWidth});   // gate and up
    make({2 * kWidth});           // their bias
  }

  Var operator()() {
    const Var x = embedding(Param{&leaves_[0]}, ids_);
    const Var normed = rms_norm(x, Param{&leaves_[1]}, 1e-5);
    const Var rotated = rope(normed, table_, positions_, 1);
    const Var wide = linear(rotated, Param{&leaves_[2]});
    const Var biased = bias_add(wide, Param{&leaves_[3]});
    const Var gated = swiglu(biased);
    const Var sum = add(gated, x);
    return linear(sum, Param{&leaves_[0]});
  }

  double loss() {
    const Numbers y = values_of((*this)().value);
    double sum = 0.0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * seed_[i];
    return sum;
  }
  void backward() {
    for (Leaf& leaf : leaves_) leaf.grad.beta = 0.0;
    Tape tape;
    const Recording on(&tape);
    const Var y = (*this)();
    const std::array outputs{y};
    const std::array seeds{tensor_of(context_, y.value.shape(), DType::f64, seed_)};
    tape.backward(outputs, seeds);
  }
  std::vector<Leaf>& leaves() { return leaves_; }

 private:
  void make(const Shape& shape) {
    const Numbers values = normal_values(shape.numel(), leaves_.size() + 1);
    leaves_.push_back(
        {tensor_of(context_, shape, DType::f64, values), {Tensor::empty(context_, shape, DType::f64), 0.0}});
  }

  Context context_{{.poison = Poison::yes, .step_memory = 1 << 26}};
  RopeTable table_;
  Tensor ids_, positions_;
  std::vector<Leaf> leaves_;
  Numbers seed_ = normal_values(kRows * kVocabulary, 42);
};

}  // namespace

TEST_CASE("functions: gradients through a whole network equal central differences, a tied parameter's too") {
  Network network;
  network.backward();
  for (std::size_t i = 0; i < network.leaves().size(); ++i) {
    INFO("parameter " << i);
    Leaf& leaf = network.leaves()[i];
    const Numbers at = values_of(leaf.value);
    const auto loss = [&](std::span<const double> values) {
      test::write_values(values, leaf.value);
      return network.loss();
    };
    const Numbers differences = central_differences(loss, at);
    test::write_values(at, leaf.value);
    CHECK(relative_difference(values_of(leaf.grad.dst), differences) <= 1e-7);  // as for single operators
  }
}
