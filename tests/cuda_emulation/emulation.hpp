// The emulated machine: its settings, what it counts, and what the fake libraries are made of. The process
// has one machine, and one thread of the process uses it. Ranks are therefore processes here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "tests/cuda_emulation/device.hpp"

namespace cuda_emulation {

/// The order in which blocks, warps and the threads of a warp take their turns.
enum class Order : std::uint8_t { forward, reverse, random };

struct Settings {
  Order order = Order::forward;
  std::uint64_t seed = 1;  ///< of random orders, and of which stream goes on
  int devices = 8;
  std::size_t memory = std::size_t{1} << 30;    ///< of the device
  std::size_t shared_memory_of_block = 166912;  ///< the least of the architectures that are built for: sm_80
};
/// They begin as the environment says: GRANULE_EMULATED_SCHEDULE is forward, reverse or the seed of a random
/// order, GRANULE_EMULATED_DEVICES a number, and GRANULE_EMULATED_MEMORY the bytes of a device.
/// GRANULE_EMULATED_TRACE is the folder of a file N.trace for device N, in which every operation is written
/// when it is submitted: the number of its stream, and its name.
[[nodiscard]] Settings& settings();

struct Counts {
  std::uint64_t threads = 0, launches = 0;
};
[[nodiscard]] Counts& counts();
/// The device that the process has chosen. A process uses one.
[[nodiscard]] int current_device();

/// What was made and not yet given back. A process that ends with exit code 0 and has something left ends
/// with 1.
struct Live {
  std::size_t allocations = 0, bytes = 0, pinned = 0, streams = 0, events = 0;
  friend bool operator==(const Live&, const Live&) = default;
};
[[nodiscard]] Live& live();

/// A mistake of the program, with its place in the kernel if one runs.
[[noreturn]] void fail(const std::string& what);
[[nodiscard]] std::string text_of(const Location& where);

/// Runs all blocks of a kernel.
void run(const Launch& launch, const cudaLaunchConfig_t& config);

/// One operation of a stream.
struct Work {
  std::function<void()> run;
  std::function<bool()> may_start = [] { return true; };
  bool needs_others = false;   ///< it waits for other processes, so to wait for it is no deadlock
  bool touches_memory = true;  ///< run() accesses memory of the device
  std::string name = "work";   ///< in traces
};
void submit(cudaStream_t stream, Work work);
/// Runs operations until this stream, or every stream, has none left. Which stream goes on is random.
void drain(cudaStream_t stream);
void drain_all();
/// Runs one operation, if there is one that may start. Whoever only asks for news calls it.
void make_progress();

/// Device memory is inaccessible unless one of these lives.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

[[nodiscard]] std::byte* allocate_device(std::size_t bytes);  ///< nullptr if there is not enough
void release_device(void* data);
/// Throws if somebody wrote past the end of an allocation.
void check_red_zones();
/// Whether all these bytes are in one allocation.
[[nodiscard]] bool is_on_device(const void* data, std::size_t bytes);
void register_pinned(void* data, std::size_t bytes);
void forget_pinned(void* data);
[[nodiscard]] bool is_pinned(const void* data, std::size_t bytes);

}  // namespace cuda_emulation
