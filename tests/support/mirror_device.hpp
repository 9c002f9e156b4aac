// The mirror: a device whose kernels are those of the CPU, and whose memory host code cannot touch. Its pages
// are inaccessible except while a kernel runs that was given them. So whatever reads or writes a tensor
// outside of a kernel, read_back or write crashes on it, and everything else computes what the CPU computes.
#pragma once
#include <memory>

#include "core/device_runtime.hpp"

namespace granule::test {

/// It takes the place of the CUDA device.
[[nodiscard]] std::unique_ptr<DeviceRuntime> make_mirror_device(int index);

}  // namespace granule::test
