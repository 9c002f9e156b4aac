// hand_over(Op{attributes}, x) runs an operator that takes a whole tensor and returns a whole tensor, in both
// directions. apply() (autograd/apply.hpp) tells backward where to write. What comes from another rank is
// already somewhere, and would have to be copied there. What is changed in place is also there already.
#pragma once
#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "autograd/tape.hpp"
#include "core/profile.hpp"

namespace granule {

/// Forward returns y, backward(dy) returns dx. Each may be the tensor that it was given, and may be written
/// over it if nobody else has it.
template <class Op>
concept HandOverOperator = requires(Op op, Tensor tensor) {
  { Op::kName } -> std::convertible_to<std::string_view>;
  { op.forward(std::move(tensor)) } -> std::same_as<Tensor>;
  { op.backward(std::move(tensor)) } -> std::same_as<Tensor>;
};

namespace detail {

template <HandOverOperator Op>
class HandOverNode final : public Node {
 public:
  HandOverNode(Op op, Slot input, Slot output) : op_(std::move(op)), input_(input), output_(output) {}
  void backward(Tape& tape) override {
    Tensor dy = tape.take_grad(output_);
    if (!dy.defined()) return;  // the output did not reach the loss
    static const std::string kPhase = std::string(Op::kName) + ".backward";
    const PhaseTimer timer(dy.context().profile(), kPhase);
    tape.add_grad(input_, op_.backward(std::move(dy)));
  }

 private:
  Op op_;
  Slot input_, output_;
};

}  // namespace detail

template <HandOverOperator Op>
Var hand_over(Op op, Var x) {
  static const std::string kPhase = std::string(Op::kName) + ".forward";
  Tape* const tape = current_tape();
  if (tape != nullptr) tape->check_own(x, Op::kName);
  Tensor y;
  {
    const PhaseTimer timer(x.value.context().profile(), kPhase);
    y = op.forward(std::move(x.value));
  }
  if (tape == nullptr || x.slot == kConstant) return {std::move(y), kConstant};
  const Slot output = tape->new_slot();
  tape->push(std::make_unique<detail::HandOverNode<Op>>(std::move(op), x.slot, output));
  return tape->output(std::move(y), output);
}

}  // namespace granule
