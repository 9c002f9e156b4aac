// Everything that a rank owns: device, threads, memory, counters. It is passed to what needs it, so several
// ranks can live in one process, each with its own Context. Operators reach it through their tensors.
#pragma once
#include <memory>

#include "core/arena.hpp"
#include "core/device.hpp"
#include "core/memory_table.hpp"
#include "core/parallel.hpp"
#include "core/profile.hpp"

namespace granule {

struct ContextOptions {
  int threads = 1;
  Poison poison = Poison::no;    ///< step memory starts as NaN
  std::int64_t step_memory = 0;  ///< bytes of address space for a step; 0: all physical memory
};

class Context {
 public:
  explicit Context(const ContextOptions& options = {});

  [[nodiscard]] Device device() const { return {}; }
  [[nodiscard]] ThreadPool& pool() { return pool_; }
  [[nodiscard]] MemoryTable& memory() { return memory_; }
  [[nodiscard]] Profile& profile() { return profile_; }
  [[nodiscard]] Arena& step_memory() { return step_memory_; }
  /// Run memory for weights, gradients, optimizer, communication; step memory for the rest.
  [[nodiscard]] Allocator& allocator(MemoryCategory category);

 private:
  ThreadPool pool_;
  MemoryTable memory_;
  Profile profile_;
  HostHeap heap_;
  Arena step_memory_;
};

}  // namespace granule
