// Pinned memory through which copies between host and device pass. Only from pinned memory can a device copy
// while the host goes on, and to pin memory takes long, so it is done once.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "core/gpu/launch.cuh"

namespace granule::gpu {

/// Two halves are used in turn. A half is used again when the stream has passed the copies through it.
class PinnedRing {
 public:
  explicit PinnedRing(cudaStream_t stream);
  ~PinnedRing();
  PinnedRing(const PinnedRing&) = delete;
  PinnedRing& operator=(const PinnedRing&) = delete;

  /// `from` may be reused at once.
  void to_device(std::byte* to, std::span<const std::byte> from);
  /// `to` has the bytes when the stream has been waited for and deliver() was called.
  void to_host(std::span<std::byte> to, const std::byte* from);
  void deliver();

 private:
  struct Arriving {
    std::span<std::byte> to;
    const std::byte* from;
  };
  struct Half {
    std::byte* memory = nullptr;
    cudaEvent_t passed = nullptr;
    std::size_t used = 0;
    std::vector<Arriving> arriving;
    void deliver();
  };
  /// The next free bytes of the ring, at most as many as wanted.
  [[nodiscard]] std::span<std::byte> take(std::size_t wanted);
  void enter_other_half();

  cudaStream_t stream_;
  std::array<Half, 2> halves_;
  std::size_t now_ = 0;
};

}  // namespace granule::gpu
