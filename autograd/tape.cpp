#include "autograd/tape.hpp"

#include <atomic>
#include <utility>

#include "core/kernels/accumulate.hpp"

namespace granule {
namespace {

thread_local Tape* t_tape = nullptr;
std::atomic<TapeId> g_tapes = 0;  // only compared, so no result depends on it

class Mark final : public Node {
 public:
  explicit Mark(std::function<void()> passed) : passed_(std::move(passed)) {}
  void backward(Tape&) override { passed_(); }

 private:
  std::function<void()> passed_;
};

}  // namespace

Tape* current_tape() {
  return t_tape;
}

Recording::Recording(Tape* tape) : previous_(std::exchange(t_tape, tape)) {}
Recording::~Recording() {
  t_tape = previous_;
}

Tape::Tape() : id_(++g_tapes) {}

void Tape::check_own(const Var& var, std::string_view what) const {
  GRANULE_CHECK(var.slot == kConstant || var.tape == id_, "{} was recorded on tape {}, this is tape {}", what,
                var.tape, id_);
}

Slot Tape::new_slot() {
  grads_.emplace_back();
  return static_cast<Slot>(grads_.size() - 1);
}

Var Tape::input(Tensor value) {
  return {std::move(value), new_slot(), id_};
}

void Tape::mark(std::function<void()> passed) {
  push(std::make_unique<Mark>(std::move(passed)));
}

const Tensor& Tape::own(Tensor& grad) {
  if (grad.shared()) {
    const Tensor copy = grad.empty_like(grad.shape());
    accumulate(grad, {copy, 0.0});
    grad = copy;
  }
  return grad;
}

Grad Tape::grad_for(Slot slot, const Form& form) {
  if (slot == kConstant) return {};
  Tensor& grad = grads_.at(static_cast<std::size_t>(slot));
  if (grad.defined()) return {own(grad), 1.0};
  grad = form.make();
  return {grad, 0.0};
}

void Tape::add_grad(Slot slot, Tensor grad) {
  if (slot == kConstant) return;
  Tensor& sum = grads_.at(static_cast<std::size_t>(slot));
  if (sum.defined()) {
    accumulate(grad, {own(sum), 1.0});
  } else {
    sum = std::move(grad);
  }
}

Tensor Tape::take_grad(Slot slot) {
  return std::exchange(grads_.at(static_cast<std::size_t>(slot)), {});
}

void Tape::backward(std::span<const Var> outputs, std::span<const Tensor> seeds) {
  backward(outputs, std::vector<Tensor>(seeds.begin(), seeds.end()));
}

void Tape::backward(std::span<const Var> outputs, std::vector<Tensor> seeds) {
  GRANULE_CHECK(outputs.size() == seeds.size(), "backward: {} outputs, {} seeds", outputs.size(),
                seeds.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    GRANULE_CHECK(outputs[i].slot != kConstant, "backward: output {} was not recorded", i);
    check_own(outputs[i], "backward: an output");
    GRANULE_CHECK(outputs[i].value.shape() == seeds[i].shape(), "backward: output {} is {}, its seed {}", i,
                  outputs[i].value.shape().str(), seeds[i].shape().str());
    GRANULE_CHECK(outputs[i].value.dtype() == seeds[i].dtype(), "backward: output {} is {}, its seed {}", i,
                  name_of(outputs[i].value.dtype()), name_of(seeds[i].dtype()));
    add_grad(outputs[i].slot, std::move(seeds[i]));
  }
  const Recording off(nullptr);
  while (!nodes_.empty()) {
    const std::unique_ptr<Node> node = std::move(nodes_.back());
    nodes_.pop_back();
    node->backward(*this);
  }
}

}  // namespace granule
