// A clock of a device, which knows when kernels ran. The host only knows when it handed them over.
#pragma once
#include <cstdint>
#include <vector>

namespace granule {

/// What mark() returns if no mark could be made. The device then reports its error at the next call.
inline constexpr std::int64_t kNoMark = -1;

class DeviceClock {
 public:
  DeviceClock() = default;
  virtual ~DeviceClock() = default;
  DeviceClock(const DeviceClock&) = delete;
  DeviceClock& operator=(const DeviceClock&) = delete;

  /// Marks this place among the device's kernels. Marks are numbered 0, 1, 2, …
  [[nodiscard]] virtual std::int64_t mark() noexcept = 0;
  /// When the device passed each mark, in seconds after the first one. It waits for them, and the next mark
  /// has the number 0 again.
  [[nodiscard]] virtual std::vector<double> take_marks() = 0;
};

}  // namespace granule
