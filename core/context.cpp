#include "core/context.hpp"

#include <hwy/targets.h>

#include "core/address_space.hpp"

namespace granule {
namespace {

/// Kernels find their instruction set through this choice. Without it, every call would detect it again.
bool choose_instruction_set() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return true;
}

}  // namespace

Context::Context(const ContextOptions& options)
    : pool_(options.threads),
      device_(options.device),
      runtime_(device_.type == DeviceType::cpu ? nullptr : make_device_runtime(device_)),
      step_memory_(options.step_memory > 0 ? options.step_memory : default_step_memory(), options.poison,
                   runtime_.get()) {
  [[maybe_unused]] static const bool chosen = choose_instruction_set();
}

void Context::wait_for_copies() {
  if (runtime_ != nullptr) runtime_->wait();
  copies_done_ = copies_begun_;
}

Allocator& Context::allocator(MemoryCategory category, Place place) {
  if (runtime_ != nullptr && place == Place::host) return heap_;
  if (category == MemoryCategory::activations || category == MemoryCategory::scratch) return step_memory_;
  return runtime_ != nullptr ? static_cast<Allocator&>(*runtime_) : heap_;
}

}  // namespace granule
