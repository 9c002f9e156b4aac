#include "nn/block.hpp"

#include <cmath>

#include "autograd/functions.hpp"
#include "core/kernels/fill.hpp"
#include "nn/language_model.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// An attention that declares one bias and adds it to x, whatever the positions are.
MakeAttention bias_for_attention(std::int64_t hidden) {
  return [hidden](ParameterStore& store, const std::string& prefix, std::int64_t) -> AttentionFunction {
    const Param bias = store.declare(prefix + ".bias", {hidden}, ParameterRole::bias);
    return [bias](const Pass&, const RopeTable&, const Var& x_ND) { return bias_add(x_ND, bias); };
  };
}

MakeFeedForward doubled(std::vector<std::string>& prefixes) {
  return [&prefixes](ParameterStore&, const std::string& prefix, std::int64_t) -> FeedForwardFunction {
    prefixes.push_back(prefix);
    return [](const Pass&, const Var& x_ND) { return add(x_ND, x_ND); };
  };
}

/// x / √(mean x² + eps)
Numbers normed(const Numbers& x, double eps) {
  double squares = 0.0;
  for (const double value : x) squares += value * value;
  Numbers y;
  for (const double value : x) y.push_back(value / std::sqrt(squares / static_cast<double>(x.size()) + eps));
  return y;
}

}  // namespace

TEST_CASE("block: it computes with the attention and the feed-forward network that it was given") {
  TestContext context;
  const ModelConfig config = small_model_config();
  ParameterStore store;
  std::vector<std::string> prefixes;
  const Block block(store, "layer", 0, config, bias_for_attention(config.hidden_size), doubled(prefixes));
  CHECK(prefixes == std::vector<std::string>{"layer.mlp"});
  store.materialise(context, DType::f64, Gradients::no);
  store.initialise(1, 0.1);
  fill(store.value_of(store.find("layer.self_attn.bias")), 0.5);
  const Numbers x = normal_values(config.hidden_size, 2);
  const Pass pass{.context = context, .batch = 1, .seq = 1};
  const Var y = block(pass, {}, {tensor_of(context, {1, config.hidden_size}, DType::f64, x)});
  Numbers u = normed(x, config.rms_norm_eps);
  for (std::size_t i = 0; i < u.size(); ++i) u[i] += x[i] + 0.5;
  Numbers wanted = normed(u, config.rms_norm_eps);
  for (std::size_t i = 0; i < u.size(); ++i) wanted[i] = 2.0 * wanted[i] + u[i];
  CHECK(relative_difference(values_of(y.value), wanted) <= 1e-14);
}

TEST_CASE("language_model: every layer has the attention that it was given") {
  const ModelConfig config = small_model_config();
  ParameterStore store;
  std::vector<std::string> prefixes;
  const LanguageModel network(store, config, doubled(prefixes), bias_for_attention(config.hidden_size));
  CHECK(std::ssize(prefixes) == config.num_hidden_layers);
  CHECK(store.has(fmt::format("model.layers.{}.self_attn.bias", config.num_hidden_layers - 1)));
  CHECK_FALSE(store.has("model.layers.0.self_attn.q_proj.weight"));
}

TEST_CASE("block: a part that is recomputed hands on its side outputs, and backward begins from them too") {
  const ModelConfig config = small_model_config();
  const Shape shape{1, config.hidden_size};
  const MakeFeedForward with_side_output = [&](ParameterStore&, const std::string&, std::int64_t) {
    return FeedForwardFunction([&](const Pass& pass, const Var& x_ND) {
      const Var zeros{Tensor::zeros(pass.context, shape, DType::f64), kConstant};
      const Var side = mse(x_ND, zeros);
      if (pass.side_outputs != nullptr) pass.side_outputs->push_back({side, std::string("mse")});
      return x_ND;
    });
  };
  std::vector<Numbers> gradients;
  for (const Recompute recompute : {Recompute::none, Recompute::feed_forward, Recompute::full}) {
    TestContext context;
    ParameterStore store;
    const Block block(store, "layer", 0, config, bias_for_attention(config.hidden_size), with_side_output);
    store.materialise(context, DType::f64, Gradients::no);
    store.initialise(1, 0.1);
    std::vector<SideOutput> side_outputs;
    Tape tape;
    const Var x = tape.input(tensor_of(context, shape, DType::f64, normal_values(config.hidden_size, 2)));
    Var y;
    {
      const Recording on(&tape);
      y = block(
          {.context = context, .batch = 1, .seq = 1, .recompute = recompute, .side_outputs = &side_outputs},
          {}, x);
    }
    REQUIRE(side_outputs.size() == 1);
    CHECK(std::any_cast<std::string>(side_outputs[0].what) == "mse");
    const std::vector<Var> outputs{y, side_outputs[0].value};
    const std::vector<Tensor> seeds{Tensor::zeros(context, shape, DType::f64),
                                    tensor_of(context, {1}, DType::f64, Numbers{1.0})};
    tape.backward(outputs, seeds);
    gradients.push_back(values_of(tape.take_grad(x.slot)));
    CHECK(gradients.back() == gradients.front());
  }
  CHECK(gradients.front() != Numbers(gradients.front().size()));
}
