#include "core/kernel_slot.hpp"

#include <vector>

namespace granule::detail {

void ArgumentTensors::add(std::string_view slot, const Tensor& tensor) {
  if (!tensor.defined()) return;
  tensors_[count_++] = &tensor;
  GRANULE_CHECK(tensor.device() == first().device(), "{}: its tensors are on different devices", slot);
}

void ArgumentTensors::check(std::string_view slot) const {
  GRANULE_CHECK(count_ > 0, "{}: called without a tensor", slot);
}

KernelScope::KernelScope(DeviceRuntime* device, const ArgumentTensors& tensors) : device_(device) {
  if (device_ == nullptr) return;
  std::vector<std::span<std::byte>> memory;
  for (const Tensor* tensor : tensors.all())
    memory.emplace_back(tensor->raw(), static_cast<std::size_t>(tensor->bytes()));
  device_->begin_kernel(memory);
}

KernelScope::~KernelScope() {
  if (device_ != nullptr) device_->end_kernel();
}

DeviceType kernels_for(const Tensor& tensor) {
  return tensor.on_host() ? DeviceType::cpu : tensor.context().runtime()->kernels();
}

void no_kernel(std::string_view slot) {
  user_error(fmt::format("the device has no kernel for {}", slot), "train.device", "use \"cpu\"");
}

}  // namespace granule::detail
