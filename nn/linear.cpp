#include "nn/linear.hpp"

#include "autograd/functions.hpp"

namespace granule {

Linear::Linear(ParameterStore& store, std::int64_t inputs, const std::vector<Output>& outputs, Bias bias) {
  std::int64_t width = 0;
  std::vector<BlockSpec::Part> weights, biases;
  for (const Output& output : outputs) {
    weights.push_back({output.name + ".weight", {output.width, inputs}});
    biases.push_back({output.name + ".bias", {output.width}});
    width += output.width;
  }
  weight_ = store.declare(BlockSpec{{width, inputs}, std::move(weights)});
  if (bias == Bias::yes) bias_ = store.declare(BlockSpec{{width}, std::move(biases), ParameterRole::bias});
}

Var Linear::operator()(const Var& x_ND) const {
  const Var y = linear(x_ND, weight_);
  return bias_ ? bias_add(y, *bias_) : y;
}

}  // namespace granule
