// The clock of a CUDA device: events in the stream of a Context's kernels.
#pragma once
#include <vector>

#include "core/device_runtime.hpp"
#include "core/gpu/launch.cuh"

namespace granule::gpu {

class EventClock final : public DeviceClock {
 public:
  /// The runtime is the stream's, and waits for it.
  EventClock(DeviceRuntime& runtime, cudaStream_t stream) : runtime_(runtime), stream_(stream) {}
  ~EventClock() override;

  [[nodiscard]] std::int64_t mark() noexcept override;
  /// CUDA tells times in milliseconds of 24 bits: to a microsecond in a step of ten seconds.
  [[nodiscard]] std::vector<double> take_marks() override;

 private:
  DeviceRuntime& runtime_;
  cudaStream_t stream_;
  std::vector<cudaEvent_t> events_;  // they are made once, and used again in each step
  std::size_t used_ = 0;
};

}  // namespace granule::gpu
