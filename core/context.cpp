#include "core/context.hpp"

namespace granule {

Context::Context(const ContextOptions& options)
    : pool_(options.threads),
      step_memory_(options.step_memory > 0 ? options.step_memory : physical_memory(), options.poison) {}

Allocator& Context::allocator(MemoryCategory category) {
  const bool of_a_step = category == MemoryCategory::activations || category == MemoryCategory::scratch;
  return of_a_step ? static_cast<Allocator&>(step_memory_) : heap_;
}

}  // namespace granule
