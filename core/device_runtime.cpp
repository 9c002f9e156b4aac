#include "core/device_runtime.hpp"

#include <array>

#include "core/error.hpp"
#include "core/meta_device.hpp"

namespace granule {
namespace {

/// Plug-ins set it while they are loaded, before anyone reads it.
constinit std::array<MakeDeviceRuntime, kDeviceTypes> makers{nullptr, nullptr, make_meta_device};

}  // namespace

void offer_device(DeviceType type, MakeDeviceRuntime make) {
  makers[static_cast<std::size_t>(type)] = make;
}

bool is_offered(DeviceType type) {
  return makers[static_cast<std::size_t>(type)] != nullptr;
}

std::unique_ptr<DeviceRuntime> make_device_runtime(Device device) {
  const MakeDeviceRuntime make = makers[static_cast<std::size_t>(device.type)];
  if (make == nullptr)
    user_error("there is no such device", "train.device", "use \"cpu\", or a build with a plug-in for it");
  return make(device.index);
}

}  // namespace granule
