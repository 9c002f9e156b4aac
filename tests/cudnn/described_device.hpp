// Devices that are only described. cuDNN plans for them as for real ones, and so does the compiler within it.
#pragma once
#include <string>

#include <fmt/format.h>

#include "core/gpu/cudnn/plan.cuh"

namespace granule::gpu::dnn::test {

struct DeviceFigures {
  const char* name;
  int capability, processors;
  std::int64_t shared_bytes_of_block, l2_bytes, memory_bytes;
  int clock_khz, memory_clock_khz;
};
/// From NVIDIA's data sheets and its table of compute capabilities.
inline constexpr std::array kDevices{
    DeviceFigures{"NVIDIA A100-SXM4-80GB", 80, 108, 166912, 41943040, 85029158912, 1410000, 1593000},
    DeviceFigures{"NVIDIA H100 80GB HBM3", 90, 132, 232448, 52428800, 85029158912, 1980000, 2619000},
    DeviceFigures{"NVIDIA B200", 100, 148, 232448, 132644864, 191000000000, 1965000, 3996000}};

/// What cuDNN asks for about a device. Its own messages name the keys.
inline std::string description_of(const DeviceFigures& device) {
  std::string json = fmt::format(
      R"("deviceName": "{}", "deviceVer": {}, "multiProcessorCount": {}, "maxSharedMemoryPerBlockOptin": {}, )"
      R"("l2CacheSize": {}, "totalGlobalMem": {}, "smClockRateKHz": {}, "memClockRateKHz": {}, )",
      device.name, device.capability * 10, device.processors, device.shared_bytes_of_block, device.l2_bytes,
      device.memory_bytes, device.clock_khz, device.memory_clock_khz);
  json +=
      R"("cudaDeviceId": 0, "pciDeviceId": 0, "driverVer": 13000, "isTccDriver": 0, "supportCoopLaunch": 1, )"
      R"("warpSize": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, )"
      R"("regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152, )"
      R"("reservedSharedMemoryPerBlock": 1024, "maxBlockSize": [1024, 1024, 64], )"
      R"("maxGridSize": [2147483647, 65535, 65535])";
  return "{" + json + "}";
}

inline Descriptor described(const DeviceFigures& device) {
  const std::string json = description_of(device);
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json)).finalise();
  return properties;
}

}  // namespace granule::gpu::dnn::test
