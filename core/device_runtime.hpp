// What a device offers besides kernels: memory, and copies between it and the host. A plug-in that brings a
// device says how its runtime is made. Kernels are in slots (core/kernel_slot.hpp).
#pragma once
#include <array>
#include <memory>
#include <span>

#include "core/allocator.hpp"
#include "core/device.hpp"
#include "core/device_clock.hpp"

namespace granule {

/// Copies and fills take their turn among the device's kernels. Addresses of device memory are nothing that
/// host code may read or write.
class DeviceRuntime : public Allocator {
 public:
  /// Returns once `from` may be reused.
  virtual void copy_to_device(std::byte* to, std::span<const std::byte> from) = 0;
  /// Starts a copy. `to` has the bytes after the next wait().
  virtual void copy_to_host(std::span<std::byte> to, const std::byte* from) = 0;
  virtual void fill(std::byte* data, std::int64_t bytes, std::byte value) = 0;
  /// Until everything that was started is done.
  virtual void wait() = 0;

  /// Whose kernels in the slots compute on this memory.
  [[nodiscard]] virtual DeviceType kernels() const = 0;
  /// If false, memory has addresses and no bytes. Then kernels state and get their workspaces, and do not
  /// run.
  [[nodiscard]] virtual bool keeps_bytes() const { return true; }
  /// Are called around each kernel, with all memory that it may read or write.
  virtual void begin_kernel(std::span<const std::span<std::byte>> memory) = 0;
  virtual void end_kernel() noexcept = 0;
  /// Throws what kernels have found wrong in their arguments, as far as they were waited for.
  virtual void throw_faults() {}

  /// Memory of the host that kernels read and write as if it were the device's. What is the host's memory
  /// anyway has no other.
  [[nodiscard]] virtual Allocator& pinned() { return *this; }
  /// Its own clock, or nullptr if work is done when a call returns.
  [[nodiscard]] virtual DeviceClock* clock() { return nullptr; }

  /// How many bytes the memory of a step may have. It is asked when a step first allocates, so memory of the
  /// run is already taken.
  [[nodiscard]] virtual std::int64_t step_memory() const = 0;
  /// Two runs of bytes.
  using Pieces = std::array<std::span<const std::byte>, 2>;
  /// Starts a check that both have this value everywhere. If not, it is one failure.
  virtual void check(Pieces pieces, std::byte value) = 0;
  /// How many checks failed. It waits for those that were started.
  [[nodiscard]] virtual std::int64_t failed_checks() = 0;
};

/// How the runtime of the n-th device of a type is made. It throws if there is no such device.
using MakeDeviceRuntime = std::unique_ptr<DeviceRuntime> (*)(int index);
/// A plug-in calls it while it is loaded, before any rank runs.
void offer_device(DeviceType type, MakeDeviceRuntime make);
[[nodiscard]] bool is_offered(DeviceType type);
/// Of a device other than the CPU. Throws a user error if no plug-in brought one.
[[nodiscard]] std::unique_ptr<DeviceRuntime> make_device_runtime(Device device);

}  // namespace granule
