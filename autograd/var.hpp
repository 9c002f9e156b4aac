// What flows through modules: values that may be recorded, and parameters.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Index into a tape's table of gradients; kConstant: nobody wants the gradient.
using Slot = std::int32_t;
inline constexpr Slot kConstant = -1;

/// Which of all tapes ever made; 0: none. Numbers, because a tape may lie where a former one lay.
using TapeId = std::uint64_t;

struct Var {
  Tensor value;
  Slot slot = kConstant;
  TapeId tape = 0;  ///< the one that the slot is of
};

/// A parameter as autograd sees it. The address is stable; `value` may be swapped between uses (a gathered
/// shard), which is why operators get it again in backward instead of saving it. `grad.beta` belongs to the
/// parameter, not to the use: 0 at the start of a step, 1 from the first contribution on.
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
