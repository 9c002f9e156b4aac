#include "core/context.hpp"

#include <hwy/targets.h>

#include "core/address_space.hpp"
#include "core/background.hpp"

namespace granule {
namespace {

/// Kernels find their instruction set through this choice. Without it, every call would detect it again.
bool choose_instruction_set() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return true;
}

/// 0: the device knows.
std::int64_t step_memory_of(const ContextOptions& options) {
  const bool of_host = options.step_memory == 0 && options.device.type == DeviceType::cpu;
  return of_host ? default_step_memory() : options.step_memory;
}

}  // namespace

Context::Context(const ContextOptions& options)
    : device_(options.device),
      runtime_(device_.type == DeviceType::cpu ? nullptr : make_device_runtime(device_)),
      threads_(options.threads),
      pool_(keeps_bytes() ? options.threads : 1),
      profile_(runtime_ == nullptr ? nullptr : runtime_->clock()),
      step_memory_(step_memory_of(options), options.poison, runtime_.get()) {
  [[maybe_unused]] static const bool chosen = choose_instruction_set();
}

void Context::wait_for_copies() {
  if (runtime_ != nullptr) runtime_->wait();
  settle_background();
  copies_done_ = copies_begun_;
}

Allocator& Context::allocator(MemoryCategory category, Place place) {
  if (runtime_ != nullptr && place == Place::host) return heap_;
  if (runtime_ != nullptr && place == Place::pinned) return runtime_->pinned();
  if (category == MemoryCategory::activations || category == MemoryCategory::scratch) return step_memory_;
  return runtime_ != nullptr ? static_cast<Allocator&>(*runtime_) : heap_;
}

}  // namespace granule
