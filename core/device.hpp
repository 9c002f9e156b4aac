// Where a tensor lives.
#pragma once
#include <compare>
#include <cstdint>

namespace granule {

/// Tensors of `meta` have shapes and no bytes (core/meta_device.hpp).
enum class DeviceType : std::uint8_t { cpu, cuda, meta };
inline constexpr int kDeviceTypes = 3;

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  friend auto operator<=>(const Device&, const Device&) = default;
};

/// Whether a tensor's bytes are in its Context's device memory or in that of the host. Kernels of the device
/// compute on `pinned` memory too, although it is the host's: it is large and slow. On the CPU all are the
/// same.
enum class Place : std::uint8_t { device, host, pinned };

}  // namespace granule
