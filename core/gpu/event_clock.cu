#include "core/gpu/event_clock.cuh"

namespace granule::gpu {

EventClock::~EventClock() {
  for (const cudaEvent_t event : events_) cudaEventDestroy(event);
}

std::int64_t EventClock::mark() noexcept {
  if (used_ == events_.size()) {
    cudaEvent_t event = nullptr;
    if (cudaEventCreate(&event) != cudaSuccess) return kNoMark;
    events_.push_back(event);
  }
  if (cudaEventRecord(events_[used_], stream_) != cudaSuccess) return kNoMark;
  return static_cast<std::int64_t>(used_++);
}

std::vector<double> EventClock::take_marks() {
  runtime_.wait();
  std::vector<double> seconds;
  for (std::size_t i = 0; i < used_; ++i) {
    float milliseconds = 0.0F;
    GRANULE_GPU_CHECK(cudaEventElapsedTime(&milliseconds, events_.front(), events_[i]));
    seconds.push_back(static_cast<double>(milliseconds) * 1e-3);
  }
  used_ = 0;
  return seconds;
}

}  // namespace granule::gpu
