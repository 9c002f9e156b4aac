// The memory that an Arena hands out: one range of addresses, on the host or on a device. The Arena itself
// never touches it.
#pragma once
#include <cstdint>
#include <memory>

#include "core/device_runtime.hpp"

namespace granule {

class ArenaMemory {
 public:
  ArenaMemory() = default;
  virtual ~ArenaMemory() = default;
  ArenaMemory(const ArenaMemory&) = delete;
  ArenaMemory& operator=(const ArenaMemory&) = delete;
  [[nodiscard]] virtual std::byte* base() const = 0;
  virtual void fill(std::int64_t offset, std::int64_t bytes, std::byte value) = 0;
  /// Whether all bytes between the ends of `outer` and those of `inner` have a value. A device finds out in
  /// its turn. If they have not, it is counted.
  struct Range {
    std::int64_t begin, end;
  };
  virtual void check_around(Range inner, Range outer, std::byte value) = 0;
  [[nodiscard]] virtual std::int64_t failed_checks() const = 0;
  /// Tells AddressSanitizer which bytes may be used. Only host memory has one.
  virtual void open(std::int64_t /*offset*/, std::int64_t /*bytes*/) {}
  virtual void close(std::int64_t /*offset*/, std::int64_t /*bytes*/) {}
};

/// Reserves address space, which is no memory before its pages are touched. Throws Error (out of memory).
[[nodiscard]] std::unique_ptr<ArenaMemory> reserve_host_memory(std::int64_t bytes);
/// Allocates from a device.
[[nodiscard]] std::unique_ptr<ArenaMemory> take_device_memory(DeviceRuntime& runtime, std::int64_t bytes);

}  // namespace granule
