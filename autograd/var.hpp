// What flows through modules: values that may be recorded, and parameters.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Index into a tape's table of gradients. kConstant means that nobody wants the gradient.
using Slot = std::int32_t;
inline constexpr Slot kConstant = -1;

/// Identifies one of all tapes ever made; 0 is none. It is a number, because a new tape may have the address
/// of an old one.
using TapeId = std::uint64_t;

struct Var {
  Tensor value;
  Slot slot = kConstant;
  TapeId tape = 0;  ///< the tape of the slot
};

/// A parameter as autograd sees it. Its address is stable. `value` may be replaced between uses (a gathered
/// shard), so operators get it again in backward instead of saving it. `grad.beta` belongs to the parameter
/// and not to the use. It is 0 at the start of a step, and 1 after the first contribution.
struct Leaf {
  Tensor value;
  /// Where the gradient goes. The parameter is frozen if this is undefined and `bound_later` is false.
  Grad grad;
  /// With ZeRO 2 and 3 the destination is bound when backward enters the unit.
  bool bound_later = false;
  [[nodiscard]] bool wants_gradient() const { return bound_later || grad; }
};

/// A use of a parameter in a module.
struct Param {
  Leaf* leaf = nullptr;
  [[nodiscard]] const Tensor& value() const { return leaf->value; }
};

}  // namespace granule
