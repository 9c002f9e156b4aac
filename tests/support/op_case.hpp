// One call checks everything that an operator promises:
//   check_op({"name"}, Op{…}, reference, arguments…)
// The arguments are in the order of forward:
//   variable(shape), parameter(shape)  tensors with gradients
//   plain(make)                        what must be made anew for each Context and dtype
//   any other value                    itself
// These are checked in f64 and f32, and some of them in bf16 if the case says so:
//   - forward against the reference, gradients by central differences, f32 against f64
//   - the same bits recorded and unrecorded, directly and on a tape, and with 1, 2 and 3 threads
//   - beta 0 on NaN, beta 1, each gradient absent, each gradient alone
//   - fences around operands, destinations and step memory
//   - nothing is written into an input, dy or what was saved
#pragma once
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/apply.hpp"
#include "autograd/hand_over.hpp"
#include "tests/support/tensors.hpp"

namespace granule::test {

struct OpCase {
  std::string name;
  /// Relative to the largest element. A sum of a few hundred terms of both signs has about ten roundings of
  /// 6e-8. A case with longer sums says why it allows more.
  double f32_tolerance = 2e-6;
  double f64_tolerance = 1e-12;      ///< the same sums in another order: about ten roundings of 1e-16
  double gradient_tolerance = 1e-7;  ///< central differences in f64 with step 1e-5: f''' times 2e-11
  bool bf16 = false;                 ///< whether the operator also takes values in bf16
  /// In bf16 against f64, with operands that are exact in both. A rounding is at most 4e-3 of a number. The
  /// output and dy are rounded, and a few results between them.
  double bf16_tolerance = 1e-2;
};

/// The numbers of an operand: given ones, or normal ones of a scale.
struct Operand {
  Shape shape;
  std::vector<double> values{};
  double scale = 1.0;
  /// Whether the operand, or its gradient, is wide where others are in bf16.
  bool wide = false, wide_gradient = false;

  [[nodiscard]] DType dtype(DType of_case) const { return wide ? wide_of(of_case) : of_case; }
  [[nodiscard]] DType gradient_dtype(DType of_case) const {
    return wide_gradient ? wide_of(of_case) : dtype(of_case);
  }
};
struct Variable : Operand {};
struct Parameter : Operand {};
[[nodiscard]] inline Variable variable(const Shape& shape, double scale = 1.0) {
  return {{shape, {}, scale}};
}
[[nodiscard]] inline Variable variable(const Shape& shape, std::vector<double> values) {
  return {{shape, std::move(values)}};
}
/// A variable that is stored in f32 beside others in bf16, such as weights of copies.
[[nodiscard]] inline Variable wide_variable(const Shape& shape, double scale = 1.0) {
  return {{shape, {}, scale, true}};
}
[[nodiscard]] inline Parameter parameter(const Shape& shape, double scale = 1.0) {
  return {{shape, {}, scale, false, true}};
}
[[nodiscard]] inline Parameter parameter(const Shape& shape, std::vector<double> values) {
  return {{shape, std::move(values), 1.0, false, true}};
}

/// An argument without a gradient that needs a Context. make(Context&, DType) returns it.
template <class Make>
struct Plain {
  Make make;
};
template <class Make>
[[nodiscard]] Plain<Make> plain(Make make) {
  return {std::move(make)};
}
/// A tensor of ids or positions.
[[nodiscard]] inline auto plain_ids(const Shape& shape, const std::vector<std::int32_t>& ids) {
  return plain([=](Context& context, DType) { return ids_of(context, shape, ids); });
}

/// Forward in plain float64 loops. It takes the operands' numbers in the given order and returns those of the
/// output.
using Reference = std::function<Numbers(const std::vector<Numbers>& operands)>;

namespace detail {

/// An operator with its plain arguments, whose types are erased.
class BoundOp {
 public:
  enum class Record : bool { no, yes };
  BoundOp() = default;
  virtual ~BoundOp() = default;
  BoundOp(const BoundOp&) = delete;
  BoundOp& operator=(const BoundOp&) = delete;
  /// Record::yes keeps what backward needs.
  [[nodiscard]] virtual Tensor forward(std::span<const Tensor> operands, Record record) = 0;
  virtual void backward(std::span<const Tensor> operands, const Tensor& dy, std::span<const Grad> grads) = 0;
  /// Calls apply() on the current tape. Parameters are leaves, and variables are vars. Both lists are as long
  /// as the operands.
  [[nodiscard]] virtual Var apply_to(std::span<const Var> vars, std::span<Leaf> leaves) = 0;
};
using Bind = std::function<std::unique_ptr<BoundOp>(Context&, DType)>;

struct VariableAt {
  std::size_t index;
};
struct ParameterAt {
  std::size_t index;
};
template <class T>
inline constexpr bool kIsPlain = false;
template <class Make>
inline constexpr bool kIsPlain<Plain<Make>> = true;

template <class A>
auto prepare(const A& argument, Context& context, DType dtype, std::size_t& next) {
  if constexpr (std::same_as<A, Variable>) {
    return VariableAt{next++};
  } else if constexpr (std::same_as<A, Parameter>) {
    return ParameterAt{next++};
  } else if constexpr (kIsPlain<A>) {
    return argument.make(context, dtype);
  } else {
    return argument;
  }
}

template <class Op, class... Prepared>
class BoundOpOf final : public BoundOp {
 public:
  BoundOpOf(Op op, std::tuple<Prepared...> arguments)
      : op_(std::move(op)), arguments_(std::move(arguments)) {}

  Tensor forward(std::span<const Tensor> operands, Record record) override {
    if (record == Record::yes) saved_.emplace();
    typename Op::Saved* const saved = record == Record::yes ? &*saved_ : nullptr;
    return std::apply([&](const auto&... a) { return op_.forward(saved, value(a, operands)...); },
                      arguments_);
  }

  void backward(std::span<const Tensor> operands, const Tensor& dy, std::span<const Grad> grads) override {
    if constexpr (kPassesGradientOn<Op>) {
      // The operator has no backward. What the tape does with dy is compared with this.
      for (const Grad& grad : grads) {
        if (grad) accumulate(dy, grad);
      }
    } else {
      run_backward(operands, dy, grads);
    }
  }

  Var apply_to(std::span<const Var> vars, std::span<Leaf> leaves) override {
    return std::apply([&](const auto&... a) { return granule::apply(op_, argument(a, vars, leaves)...); },
                      arguments_);
  }

 private:
  void run_backward(std::span<const Tensor> operands, const Tensor& dy, std::span<const Grad> grads) {
    const auto parameters = std::apply(
        [&](const auto&... a) { return std::tuple_cat(parameter_values(a, operands)...); }, arguments_);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      std::apply([&](const auto&... w) { op_.backward(*saved_, w..., dy, grads[I]...); }, parameters);
    }
    (std::make_index_sequence<kOperands>{});
  }

  template <class T>
  static constexpr bool kIsOperand = std::same_as<T, VariableAt> || std::same_as<T, ParameterAt>;
  static constexpr std::size_t kOperands = ((kIsOperand<Prepared> ? 1U : 0U) + ... + 0U);

  template <class T>
  static const auto& value(const T& prepared, std::span<const Tensor> operands) {
    if constexpr (kIsOperand<T>) {
      return operands[prepared.index];
    } else {
      return prepared;
    }
  }
  template <class T>
  static auto parameter_values(const T& prepared, std::span<const Tensor> operands) {
    if constexpr (std::same_as<T, ParameterAt>) {
      return std::tuple<Tensor>{operands[prepared.index]};
    } else {
      return std::tuple<>{};
    }
  }
  template <class T>
  static auto argument(const T& prepared, std::span<const Var> vars, std::span<Leaf> leaves) {
    if constexpr (std::same_as<T, VariableAt>) {
      return vars[prepared.index];
    } else if constexpr (std::same_as<T, ParameterAt>) {
      return Param{&leaves[prepared.index]};
    } else {
      return prepared;
    }
  }

  Op op_;
  std::tuple<Prepared...> arguments_;
  std::optional<typename Op::Saved> saved_;
};

template <class Op, class... Args>
std::unique_ptr<BoundOp> bind(Context& context, DType dtype, const Op& op, const Args&... arguments) {
  std::size_t next = 0;
  auto prepared = std::tuple{prepare(arguments, context, dtype, next)...};  // braces keep the order
  return [&]<class... P>(std::tuple<P...>&& tuple) -> std::unique_ptr<BoundOp> {
    return std::make_unique<BoundOpOf<Op, P...>>(op, std::move(tuple));
  }(std::move(prepared));
}

/// An operator that hand_over() runs. It gets copies of its operands' handles, so it must not write over
/// them.
template <HandOverOperator Op>
class BoundHandOver final : public BoundOp {
 public:
  explicit BoundHandOver(Op op) : op_(std::move(op)) {}
  Tensor forward(std::span<const Tensor> operands, Record /*record*/) override {
    return op_.forward(operands.front());
  }
  void backward(std::span<const Tensor> /*operands*/, const Tensor& dy,
                std::span<const Grad> grads) override {
    if (grads.front()) accumulate(op_.backward(dy), grads.front());
  }
  Var apply_to(std::span<const Var> vars, std::span<Leaf> /*leaves*/) override {
    return hand_over(op_, vars.front());
  }

 private:
  Op op_;
};

void check_bound(const OpCase& op_case, std::vector<Operand> operands, const Bind& bind,
                 const Reference& reference);

}  // namespace detail

/// Runs every check that the comment at the top lists. Failures are Catch2 failures that name the case.
template <class Op, class... Args>
void check_op(const OpCase& op_case, const Op& op, const Reference& reference, const Args&... arguments) {
  std::vector<Operand> operands;
  const auto note = [&]<class A>(const A& argument) {
    if constexpr (std::derived_from<A, Operand>) operands.push_back(argument);
  };
  (note(arguments), ...);
  detail::check_bound(
      op_case, std::move(operands),
      [&](Context& context, DType dtype) { return detail::bind(context, dtype, op, arguments...); },
      reference);
}

/// The same for an operator that hand_over() runs on `x`. make(Context&, DType) returns it.
template <class Make>
void check_hand_over(const OpCase& op_case, const Make& make, const Reference& reference, const Variable& x) {
  const auto bind = [&](Context& context, DType dtype) -> std::unique_ptr<detail::BoundOp> {
    auto op = make(context, dtype);
    return std::make_unique<detail::BoundHandOver<decltype(op)>>(std::move(op));
  };
  detail::check_bound(op_case, {x}, bind, reference);
}

}  // namespace granule::test
