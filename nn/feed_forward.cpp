#include "nn/feed_forward.hpp"

#include "autograd/functions.hpp"

namespace granule {

FeedForward::FeedForward(ParameterStore& store, const std::string& prefix, std::int64_t hidden,
                         std::int64_t width)
    : gate_up_(store, hidden, {{prefix + ".gate_proj", width}, {prefix + ".up_proj", width}}),
      down_(store, width, {{prefix + ".down_proj", hidden}}) {}

Var FeedForward::widen(const Var& x_ND) const {
  const Var gate_up = gate_up_(x_ND);
  return swiglu(gate_up);
}

Var FeedForward::narrow(const Var& h_NF) const {
  return down_(h_NF);
}

Var FeedForward::operator()(const Var& x_ND) const {
  const Var h = widen(x_ND);
  return narrow(h);
}

}  // namespace granule
