// The tape is a list of nodes in the order of their creation. They run exactly backwards and are freed as
// they go. There is no sorting and no recursion, and the order is the same on every rank. The tape knows no
// operator.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/var.hpp"

namespace granule {

class Tape;

/// Context, shape and dtype of a value: enough to make its gradient without keeping the value alive.
struct Form {
  Context* context = nullptr;
  Shape shape{0};
  DType dtype = DType::f32;

  Form() = default;
  explicit Form(const Tensor& value)
      : context(&value.context()), shape(value.shape()), dtype(value.dtype()) {}
  [[nodiscard]] Tensor make() const { return Tensor::empty(*context, shape, dtype); }
};

class Node {
 public:
  Node() = default;
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual void backward(Tape& tape) = 0;
};

class Tape {
 public:
  Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A value whose gradient is wanted. Read it with take_grad after backward.
  [[nodiscard]] Var input(Tensor value);
  [[nodiscard]] Slot new_slot();
  /// A value that a node of this tape makes, with the slot that the node reads its gradient from.
  [[nodiscard]] Var output(Tensor value, Slot slot) const { return {std::move(value), slot, id_}; }
  /// Refuses a value that was recorded on another tape, because its slot means something else on this one.
  /// `what` names the operation and the value.
  void check_own(const Var& var, std::string_view what) const;
  void push(std::unique_ptr<Node> node) { nodes_.push_back(std::move(node)); }
  /// Runs `passed` when backward has finished everything recorded after this point.
  void mark(std::function<void()> passed);

  /// Runs the tape backwards from the outputs. Each output has a seed dL/d(output) of its shape and dtype.
  /// Outputs that were not recorded are refused. Afterwards the tape is empty. Seeds that the caller still
  /// has are not changed.
  void backward(std::span<const Var> outputs, std::vector<Tensor> seeds);
  void backward(std::span<const Var> outputs, std::span<const Tensor> seeds);

  /// Where one contribution to a slot's gradient goes: the first one overwrites, later ones add.
  [[nodiscard]] Grad grad_for(Slot slot, const Form& form);
  /// Adds a finished gradient to a slot. The first one stays the tensor that it is, and is copied only if a
  /// second one comes while others still have it.
  void add_grad(Slot slot, Tensor grad);
  /// The gradient that was summed in a slot, or undefined if nothing reached it. The slot is empty
  /// afterwards. Others may have the same tensor.
  [[nodiscard]] Tensor take_grad(Slot slot);
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

 private:
  /// A slot's gradient, to which something may be added. Copies it if other tensors share it.
  [[nodiscard]] static const Tensor& own(Tensor& grad);

  TapeId id_;
  std::vector<Tensor> grads_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

/// The tape that operators of this thread record on, or nullptr. It is the only ambient state, like no_grad
/// in other programs. Recording(nullptr) switches recording off for a scope.
[[nodiscard]] Tape* current_tape();
class Recording {
 public:
  explicit Recording(Tape* tape);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  Tape* previous_;
};

}  // namespace granule
