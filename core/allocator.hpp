// Where tensor bytes come from. There are two lifetimes and two allocators. Memory of the whole run (weights,
// gradients, optimizer state) comes from the heap, and memory of a step (activations, scratch) from an Arena
// (core/arena.hpp).
#pragma once
#include <cstddef>
#include <cstdint>

namespace granule {

/// Alignment of every allocation: a cache line on the CPU, a memory transaction on a GPU.
inline constexpr std::int64_t kAlignment = 256;
[[nodiscard]] constexpr std::int64_t align_up(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

class Allocator {
 public:
  Allocator() = default;
  virtual ~Allocator() = default;
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;
  /// The result is kAlignment-aligned and uninitialised. Throws Error with ExitCode::out_of_memory.
  [[nodiscard]] virtual std::byte* allocate(std::int64_t bytes) = 0;
  virtual void release(std::byte* data, std::int64_t bytes) noexcept = 0;
};

class HostHeap final : public Allocator {
 public:
  [[nodiscard]] std::byte* allocate(std::int64_t bytes) override;
  void release(std::byte* data, std::int64_t bytes) noexcept override;
};

}  // namespace granule
