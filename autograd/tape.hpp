// The tape is a list: nodes in creation order, run exactly backwards, freed as they go. No sorting, no
// recursion, and the same order on every rank. It knows no operator.
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

/// Home, shape and dtype of a value: enough to make its gradient, without keeping the value alive.
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

  /// A value whose gradient is wanted; read it with take_grad after backward.
  [[nodiscard]] Var input(Tensor value);
  [[nodiscard]] Slot new_slot();
  /// A value that a node of this tape makes, with the slot that the node reads its gradient from.
  [[nodiscard]] Var output(Tensor value, Slot slot) const { return {std::move(value), slot, id_}; }
  /// Refuses a value that was recorded on another tape: its slot is somebody else's here. `what` names the
  /// operation and the value.
  void check_own(const Var& var, std::string_view what) const;
  void push(std::unique_ptr<Node> node) { nodes_.push_back(std::move(node)); }
  /// Runs `passed` when backward has finished everything recorded after this point.
  void mark(std::function<void()> passed);

  /// Runs the tape backwards from the outputs, each with its seed dL/d(output) of the output's shape and
  /// dtype. Outputs that were not recorded are refused. The seeds are taken over and may be added to; the
  /// tape is empty afterwards.
  void backward(std::span<const Var> outputs, std::span<const Tensor> seeds);

  /// Destination of one contribution to a slot's gradient: the first overwrites, later ones add.
  [[nodiscard]] Grad grad_for(Slot slot, const Form& form);
  /// Adds a finished gradient to a slot, taking it over where it is the first.
  void add_grad(Slot slot, Tensor grad);
  /// The gradient gathered in a slot (undefined where nothing reached it), leaving the slot empty.
  [[nodiscard]] Tensor take_grad(Slot slot);
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

 private:
  TapeId id_;
  std::vector<Tensor> grads_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

/// The tape that operators of this thread record on, or nullptr: the only ambient state, as no_grad is
/// elsewhere. Recording(nullptr) switches recording off for a scope.
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
