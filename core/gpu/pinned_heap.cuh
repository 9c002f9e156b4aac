// Memory of the host that kernels of the device read and write over its bus.
#pragma once
#include "core/allocator.hpp"

namespace granule::gpu {

class PinnedHeap final : public Allocator {
 public:
  [[nodiscard]] std::byte* allocate(std::int64_t bytes) override;
  void release(std::byte* data, std::int64_t bytes) noexcept override;
};

}  // namespace granule::gpu
