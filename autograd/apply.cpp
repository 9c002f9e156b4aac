#include "autograd/apply.hpp"

namespace granule::detail {

Grad Target::next(Tape& tape) const {
  if (leaf == nullptr) return tape.grad_for(slot, form);
  if (!leaf->wants_gradient()) return {};
  GRANULE_ASSERT(leaf->grad, "backward: a parameter's gradient is wanted and has no destination");
  return {leaf->grad.dst, std::exchange(leaf->grad.beta, 1.0)};
}

}  // namespace granule::detail
