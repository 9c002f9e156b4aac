#include "autograd/apply.hpp"

namespace granule::detail {

Grad Target::next(Tape& tape) const {
  if (leaf == nullptr) return tape.grad_for(slot, form);
  if (!leaf->wants_gradient()) return {};
  GRANULE_ASSERT(leaf->grad, "backward: a parameter's gradient is wanted and has no destination");
  return {leaf->grad.dst, std::exchange(leaf->grad.beta, 1.0)};
}

void Target::add(Tape& tape, const Tensor& grad) const {
  if (leaf == nullptr) return tape.add_grad(slot, grad);
  if (const Grad sum = next(tape)) accumulate(grad, sum);
}

}  // namespace granule::detail
