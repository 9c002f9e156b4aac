#include "core/device_remarks.hpp"

#include <array>

namespace granule {
namespace {

/// Plug-ins set it while they are loaded, before anyone reads it.
constinit std::array<TellDeviceRemarks, kDeviceTypes> tellers{};

}  // namespace

void offer_device_remarks(DeviceType type, TellDeviceRemarks tell) {
  tellers[static_cast<std::size_t>(type)] = tell;
}

std::string device_remarks(const DeviceRuntime* runtime) {
  if (runtime == nullptr) return "";
  const TellDeviceRemarks tell = tellers[static_cast<std::size_t>(runtime->kernels())];
  return tell == nullptr ? "" : tell(*runtime);
}

}  // namespace granule
