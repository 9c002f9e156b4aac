// apply(Op{attributes}, x, w, plain…) runs an operator and records it. An operator is a struct that knows no
// tape. It has `kName`, `Saved`, forward(Saved*, inputs…) and backward(Saved, parameters…, dy, gradients…).
// The inputs are the tensors of Vars and Params in the order given. Parameters come again in backward, and
// there is one Grad for every Var and Param, in the same order. Plain arguments go to forward only. An
// operator whose gradients are all dy says so by kPassesGradientOn and has no backward. Then dy is not
// copied.
#pragma once
#include <array>
#include <concepts>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "autograd/tape.hpp"
#include "core/kernels/accumulate.hpp"

namespace granule {

template <class Op>
concept Operator = requires {
  typename Op::Saved;
  { Op::kName } -> std::convertible_to<std::string_view>;
};

template <class Op>
inline constexpr bool kPassesGradientOn = requires {
  requires Op::kPassesGradientOn;
};

namespace detail {

/// Where the gradient of one input goes.
struct Target {
  Slot slot = kConstant;
  Leaf* leaf = nullptr;
  Form form;  // of a slot's gradient; empty for a parameter

  [[nodiscard]] bool wanted() const {
    return slot != kConstant || (leaf != nullptr && leaf->wants_gradient());
  }
  [[nodiscard]] bool same_as(const Target& other) const {
    return wanted() && slot == other.slot && leaf == other.leaf;
  }
  [[nodiscard]] Grad next(Tape& tape) const;
};

template <class T>
inline constexpr bool kIsVar = std::same_as<T, Var>;
template <class T>
inline constexpr bool kIsParam = std::same_as<T, Param>;
template <class... Args>
inline constexpr std::size_t kInputs = ((kIsVar<Args> || kIsParam<Args> ? 1U : 0U) + ...);

inline const Tensor& value_of(const Var& var) {
  return var.value;
}
inline const Tensor& value_of(const Param& param) {
  return param.value();
}
template <class T>
const T& value_of(const T& plain) {
  return plain;
}

/// Checks that inputs which are Vars of a tape are of the tape that records the operator.
/// Of the first input. Operators compute where their inputs are.
template <class First, class... Rest>
Context& context_of(const First& first, const Rest&... rest) {
  if constexpr (kIsVar<First> || kIsParam<First>) {
    return value_of(first).context();
  } else {
    return context_of(rest...);
  }
}

template <class A>
void check_tape(const Tape& tape, std::string_view op, const A& arg) {
  if constexpr (kIsVar<A>) tape.check_own(arg, op);
}

template <class... Args>
auto targets_of(const Args&... args) {
  std::array<Target, kInputs<Args...>> targets{};
  std::size_t i = 0;
  const auto note = [&]<class A>(const A& arg) {
    if constexpr (kIsVar<A>)
      targets[i++] = {arg.slot, nullptr, arg.slot == kConstant ? Form{} : Form(arg.value)};
    if constexpr (kIsParam<A>) targets[i++] = {kConstant, arg.leaf, {}};
  };
  (note(args), ...);
  return targets;
}

/// The leaves among the arguments, which backward needs again.
template <class A>
auto leaf_of(const A& arg) {
  if constexpr (kIsParam<A>) {
    return std::tuple<Leaf*>{arg.leaf};
  } else {
    return std::tuple<>{};
  }
}

template <class Op, std::size_t N, class Leaves>
class OpNode final : public Node {
 public:
  OpNode(Op op, typename Op::Saved saved, Slot output, std::array<Target, N> targets, Leaves leaves)
      : op_(std::move(op)),
        saved_(std::move(saved)),
        output_(output),
        targets_(std::move(targets)),
        leaves_(leaves) {}

  void backward(Tape& tape) override {
    const Tensor dy = tape.take_grad(output_);
    if (!dy.defined()) return;  // the output did not reach the loss
    static const std::string kPhase = std::string(Op::kName) + ".backward";
    const PhaseTimer timer(dy.context().profile(), kPhase);
    if constexpr (kPassesGradientOn<Op>) {
      static_assert(std::tuple_size_v<Leaves> == 0, "the gradient of a parameter has a place of its own");
      for (const Target& target : targets_) tape.add_grad(target.slot, dy);
    } else {
      compute(tape, dy);
    }
  }

 private:
  void compute(Tape& tape, const Tensor& dy) {
    std::array<Grad, N> grads{};
    std::array<bool, N> repeated{};
    for (std::size_t i = 0; i < N; ++i) {
      // In f(x, x) an operator may write its destinations together, so the second one gets its own buffer.
      for (std::size_t j = 0; j < i; ++j) repeated[i] |= targets_[i].same_as(targets_[j]);
      grads[i] = repeated[i] ? own_buffer(targets_[i]) : targets_[i].next(tape);
    }
    std::apply(
        [&](auto*... leaf) {
          std::apply([&](const auto&... grad) { op_.backward(saved_, leaf->value..., dy, grad...); }, grads);
        },
        leaves_);
    // A slot's gradient that is still held here would be copied before something is added to it.
    for (std::size_t i = 0; i < N; ++i)
      if (!repeated[i]) grads[i] = {};
    for (std::size_t i = 0; i < N; ++i)
      if (repeated[i]) accumulate(grads[i].dst, targets_[i].next(tape));
  }
  static Grad own_buffer(const Target& target) {
    const Form form = target.leaf != nullptr ? Form(target.leaf->grad.dst) : target.form;
    return {form.make(), 0.0};
  }
  Op op_;
  typename Op::Saved saved_;
  Slot output_;
  std::array<Target, N> targets_;
  Leaves leaves_;
};

}  // namespace detail

template <Operator Op, class... Args>
Var apply(Op op, const Args&... args) {
  static const std::string kPhase = std::string(Op::kName) + ".forward";
  auto targets = detail::targets_of(args...);
  bool wanted = false;
  for (const auto& target : targets) wanted |= target.wanted();
  Tape* const tape = current_tape();
  const auto run = [&](typename Op::Saved* saved) {
    const PhaseTimer timer(detail::context_of(args...).profile(), kPhase);
    return op.forward(saved, detail::value_of(args)...);
  };
  if (tape == nullptr || !wanted) return {run(nullptr), kConstant};
  static const std::string kInput = std::string(Op::kName) + ": an input";
  (detail::check_tape(*tape, kInput, args), ...);
  typename Op::Saved saved{};
  Tensor y = run(&saved);
  const Slot output = tape->new_slot();
  auto leaves = std::tuple_cat(detail::leaf_of(args)...);
  tape->push(std::make_unique<detail::OpNode<Op, targets.size(), decltype(leaves)>>(
      std::move(op), std::move(saved), output, std::move(targets), std::move(leaves)));
  return tape->output(std::move(y), output);
}

}  // namespace granule
