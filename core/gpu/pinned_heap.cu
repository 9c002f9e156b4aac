#include <algorithm>

#include "core/error.hpp"
#include "core/gpu/launch.cuh"
#include "core/gpu/pinned_heap.cuh"

namespace granule::gpu {

/// With unified addressing, which every 64-bit system has, kernels use the same address as the host.
std::byte* PinnedHeap::allocate(std::int64_t bytes) {
  void* data = nullptr;
  const cudaError_t error =
      cudaHostAlloc(&data, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)), cudaHostAllocMapped);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // it is told here
    throw Error(ExitCode::out_of_memory, "out of memory: the host could not pin memory for the device",
                fmt::format("{} bytes", bytes),
                "free memory of the host, raise `ulimit -l`, or use more ranks");
  }
  GRANULE_GPU_CHECK(error);
  return static_cast<std::byte*>(data);
}

void PinnedHeap::release(std::byte* data, std::int64_t /*bytes*/) noexcept {
  cudaFreeHost(data);
}

}  // namespace granule::gpu
