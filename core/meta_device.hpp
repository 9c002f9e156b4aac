// A device whose memory has addresses and no bytes. What runs on it allocates as on another device, and no
// kernel computes. So it shows in a moment what a step of a model of any size needs. What comes back from it
// is zero, so what decides must not be read from it.
#pragma once
#include <memory>

#include "core/device_runtime.hpp"

namespace granule {

/// More addresses than any step needs. They are not reserved from the system.
inline constexpr std::int64_t kMetaStepMemory = std::int64_t{1} << 50;

/// A runtime whose workspaces are those of the CPU's kernels. Each has its own addresses from the same range.
/// Whoever touches one of them ends with a segmentation fault.
[[nodiscard]] std::unique_ptr<DeviceRuntime> make_meta_device(int index);

}  // namespace granule
