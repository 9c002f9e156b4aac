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
      step_memory_(options.step_memory > 0 ? options.step_memory : default_step_memory(), options.poison) {
  [[maybe_unused]] static const bool chosen = choose_instruction_set();
}

Allocator& Context::allocator(MemoryCategory category) {
  const bool of_a_step = category == MemoryCategory::activations || category == MemoryCategory::scratch;
  return of_a_step ? static_cast<Allocator&>(step_memory_) : heap_;
}

}  // namespace granule
