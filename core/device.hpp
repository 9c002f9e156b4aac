// Where a tensor lives.
#pragma once
#include <compare>
#include <cstdint>

namespace granule {

enum class DeviceType : std::uint8_t { cpu, cuda };
inline constexpr int kDeviceTypes = 2;

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  friend auto operator<=>(const Device&, const Device&) = default;
};

}  // namespace granule
