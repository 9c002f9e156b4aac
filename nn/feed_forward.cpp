#include "nn/feed_forward.hpp"

#include "autograd/functions.hpp"

namespace granule {

FeedForward::FeedForward(ParameterStore& store, const std::string& prefix, std::int64_t hidden,
                         std::int64_t width) {
  const Shape half{width, hidden};
  gate_up_ = store.declare(BlockSpec{
      {2 * width, hidden}, {{prefix + ".gate_proj.weight", half}, {prefix + ".up_proj.weight", half}}});
  down_ = store.declare(prefix + ".down_proj.weight", {hidden, width});
}

Var FeedForward::operator()(const Var& x_ND) const {
  const Var gate_up = linear(x_ND, gate_up_);
  const Var activated = swiglu(gate_up);
  return linear(activated, down_);
}

}  // namespace granule
