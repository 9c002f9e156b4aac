// The only device switch. An operator owns one slot, which has its CPU kernel from the start. A plug-in adds
// its own kernel when it is loaded. A device without a kernel is an error, and nothing falls back.
#pragma once
#include <array>
#include <string_view>

#include "core/device.hpp"
#include "core/error.hpp"

namespace granule {

template <class Signature>
class KernelSlot;

template <class... Args>
class KernelSlot<void(Args...)> {
 public:
  using Kernel = void (*)(Args...);
  constexpr KernelSlot(std::string_view name, Kernel cpu) : name_(name), kernels_{cpu, nullptr} {}

  /// A plug-in calls it while it is loaded, before any rank runs.
  void fill(DeviceType device, Kernel kernel) { kernels_[static_cast<std::size_t>(device)] = kernel; }
  [[nodiscard]] bool has(DeviceType device) const {
    return kernels_[static_cast<std::size_t>(device)] != nullptr;
  }

  void operator()(Device device, Args... args) const {
    const Kernel kernel = kernels_[static_cast<std::size_t>(device.type)];
    GRANULE_CHECK(kernel != nullptr, "{}: no kernel for this device", name_);
    kernel(args...);
  }

 private:
  std::string_view name_;
  std::array<Kernel, kDeviceTypes> kernels_;
};

}  // namespace granule
