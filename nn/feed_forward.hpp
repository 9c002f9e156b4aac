// The dense SwiGLU network. The shared experts of an MoE layer are one such network of their total width.
#pragma once
#include <string>

#include "nn/linear.hpp"
#include "nn/pass.hpp"

namespace granule {

/// y = W_down (silu(W_gate x) ∘ W_up x), without biases.
class FeedForward {
 public:
  /// Declares {prefix}.gate_proj, .up_proj [width, hidden] (one block) and .down_proj [hidden, width].
  FeedForward(ParameterStore& store, const std::string& prefix, std::int64_t hidden, std::int64_t width);
  [[nodiscard]] Var operator()(const Var& x_ND) const;
  /// The two halves of it, for callers that do something else between them: h = silu(W_gate x) ∘ W_up x, and
  /// y = W_down h.
  [[nodiscard]] Var widen(const Var& x_ND) const;
  [[nodiscard]] Var narrow(const Var& h_NF) const;

 private:
  Linear gate_up_, down_;
};

}  // namespace granule
