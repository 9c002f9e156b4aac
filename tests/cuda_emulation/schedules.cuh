// What the tests of the emulator share: the five schedules, and buffers of the device.
#pragma once
#include <span>
#include <stdexcept>
#include <vector>

#include "core/gpu/launch.cuh"
#include "tests/cuda_emulation/emulation.hpp"

namespace cuda_emulation {

struct Schedule {
  Order order;
  std::uint64_t seed;
};
inline constexpr Schedule kSchedules[] = {
    {Order::forward, 1}, {Order::reverse, 1}, {Order::random, 1}, {Order::random, 2}, {Order::random, 3}};

/// Calls body() under every schedule.
template <class Body>
void under_schedules(const Body& body) {
  const Settings before = settings();
  for (const Schedule& schedule : kSchedules) {
    settings().order = schedule.order;
    settings().seed = schedule.seed;
    body();
  }
  settings() = before;
}

class Stream {
 public:
  Stream() { GRANULE_GPU_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }
  void wait() const { GRANULE_GPU_CHECK(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// n elements on the device. They are NaN, or all bits of an integer are set.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t n) : n_(n) {
    GRANULE_GPU_CHECK(cudaMalloc(reinterpret_cast<void**>(&data_), n * sizeof(T)));
  }
  Buffer(const Stream& stream, const std::vector<T>& values) : Buffer(values.size()) {
    GRANULE_GPU_CHECK(cudaMemcpyAsync(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice, stream));
  }
  /// A write past the end was looked for by check_red_zones(); here nobody could catch it.
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  [[nodiscard]] T* data() const { return data_; }
  /// It waits for the stream.
  [[nodiscard]] std::vector<T> values(const Stream& stream) const {
    std::vector<T> host(n_);
    GRANULE_GPU_CHECK(cudaMemcpyAsync(host.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost, stream));
    stream.wait();
    return host;
  }

 private:
  std::size_t n_;
  T* data_ = nullptr;
};

}  // namespace cuda_emulation
