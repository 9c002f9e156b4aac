#include "nn/feed_forward.hpp"

#include "autograd/functions.hpp"

namespace granule {

FeedForward::FeedForward(ParameterStore& store, const std::string& prefix, std::int64_t hidden,
                         std::int64_t width)
    : gate_up_(store, hidden, {{prefix + ".gate_proj", width}, {prefix + ".up_proj", width}}),
      down_(store, width, {{prefix + ".down_proj", hidden}}) {}

Var FeedForward::operator()(const Var& x_ND) const {
  const Var gate_up = gate_up_(x_ND);
  const Var activated = swiglu(gate_up);
  return down_(activated);
}

}  // namespace granule
