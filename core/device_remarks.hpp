// What the kernels of a device have chosen and people should know, such as which library computes attention.
// A plug-in says how its runtime tells it.
#pragma once
#include <string>

#include "core/device_runtime.hpp"

namespace granule {

/// Text of whole lines.
using TellDeviceRemarks = std::string (*)(const DeviceRuntime&);
/// A plug-in calls it while it is loaded, before any rank runs.
void offer_device_remarks(DeviceType type, TellDeviceRemarks tell);
/// Empty if nothing was chosen, or if there is no such device.
[[nodiscard]] std::string device_remarks(const DeviceRuntime* runtime);

}  // namespace granule
