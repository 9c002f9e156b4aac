#include "nn/linear.hpp"

#include "autograd/tape.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kRows = 3, kInputs = 5;

Tensor input(Context& context) {
  return tensor_of(context, {kRows, kInputs}, DType::f64, normal_values(kRows * kInputs, 1));
}

/// y = x Wᵀ + b in plain loops.
Numbers expected(const Numbers& x, const Numbers& w, const Numbers& b) {
  Numbers y;
  for (std::size_t n = 0; n < kRows; ++n) {
    for (std::size_t o = 0; o < b.size(); ++o) {
      double sum = b[o];
      for (std::size_t d = 0; d < kInputs; ++d) sum += x[n * kInputs + d] * w[o * kInputs + d];
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("linear: several outputs are columns of one product, and each has a name and a bias") {
  TestContext context;
  ParameterStore store;
  const Linear layer(store, kInputs, {{"q", 4}, {"k", 2}}, Linear::Bias::yes);
  store.materialise(context, DType::f64, Gradients::yes);
  store.initialise(3, 1.0);
  std::vector<std::string> names;
  for (const LogicalTensor& tensor : store.logical()) names.push_back(tensor.name);
  CHECK(names == std::vector<std::string>{"q.weight", "k.weight", "q.bias", "k.bias"});
  CHECK(layer.weight().value().shape() == Shape{6, kInputs});
  CHECK(store.find("k.weight").offset == 4 * kInputs);

  const Numbers b{1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
  write_values(std::span(b).first(4), store.value_of(store.find("q.bias")));
  write_values(std::span(b).subspan(4), store.value_of(store.find("k.bias")));
  const Tensor x = input(context);
  Tape tape;
  const Recording recording(&tape);
  const Var y = layer({x});
  CHECK(relative_difference(values_of(y.value),
                            expected(values_of(x), values_of(layer.weight().value()), b)) <= 1e-14);
  CHECK(tape.size() == 2);  // one product, one addition of the bias
}

TEST_CASE("linear: without a bias there is none, and a head may have the weight of the embedding") {
  TestContext context;
  ParameterStore store;
  const Linear own(store, kInputs, {{"head", 4}});
  const Param embedding = store.declare("embedding", {4, kInputs});
  const Linear tied(embedding);
  CHECK(store.logical().size() == 2);
  CHECK(tied.weight().leaf == embedding.leaf);
  store.materialise(context, DType::f64, Gradients::no);
  store.initialise(3, 1.0);
  const Tensor x = input(context);
  CHECK(relative_difference(values_of(tied({x}).value),
                            expected(values_of(x), values_of(embedding.value()), Numbers(4, 0.0))) <= 1e-14);
}
