#include "core/kernel_slot.hpp"

namespace granule::detail {

void ArgumentTensors::operator()(const Tensor& tensor) const {
  if (!tensor.defined()) return;
  if (first_ == nullptr) first_ = &tensor;
  GRANULE_CHECK(tensor.device() == first_->device(), "{}: its tensors are on different devices", slot_);
}

const Tensor& ArgumentTensors::first() const {
  GRANULE_CHECK(first_ != nullptr, "{}: called without a tensor", slot_);
  return *first_;
}

void no_kernel(std::string_view slot) {
  GRANULE_CHECK(false, "{}: no kernel for this device", slot);
}

}  // namespace granule::detail
