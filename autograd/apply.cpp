#include "autograd/apply.hpp"

namespace granule::detail {

Grad Target::next(Tape& tape) const {
  if (leaf == nullptr) return tape.grad_for(slot, form);
  if (!leaf->grad) return {};
  return {leaf->grad.dst, std::exchange(leaf->grad.beta, 1.0)};
}

}  // namespace granule::detail
