// Everything that a rank owns: device, threads, memory, counters. It is passed to what needs it, so several
// ranks can live in one process, each with its own Context. Operators reach it through their tensors.
#pragma once
#include <memory>

#include "core/arena.hpp"
#include "core/device.hpp"
#include "core/device_runtime.hpp"
#include "core/memory_table.hpp"
#include "core/parallel.hpp"
#include "core/profile.hpp"

namespace granule {

struct ContextOptions {
  int threads = 1;             ///< on a device without bytes they are declared, and none is started
  Device device{};             ///< a plug-in must have brought it, unless it is the CPU
  Poison poison = Poison::no;  ///< step memory starts as NaN
  std::int64_t step_memory =
      0;  ///< bytes for a step; 0: addresses of all physical memory, or the device's free memory
};

class Context {
 public:
  explicit Context(const ContextOptions& options = {});

  [[nodiscard]] Device device() const { return device_; }
  /// The device's memory and copies, or nullptr on the CPU.
  [[nodiscard]] DeviceRuntime* runtime() { return runtime_.get(); }
  /// Whether tensors on the device have bytes. If not, no kernel runs (core/meta_device.hpp).
  [[nodiscard]] bool keeps_bytes() const { return runtime_ == nullptr || runtime_->keeps_bytes(); }
  [[nodiscard]] ThreadPool& pool() { return pool_; }
  [[nodiscard]] int threads() const { return threads_; }  ///< for which kernels state their workspaces
  /// Counts the device's memory. Memory of the host beside a device, pinned or not, has a table of its own.
  [[nodiscard]] MemoryTable& memory(Place place = Place::device) {
    return place != Place::device && runtime_ != nullptr ? host_memory_ : memory_;
  }
  [[nodiscard]] Profile& profile() { return profile_; }
  [[nodiscard]] Arena& step_memory() { return step_memory_; }
  /// Copies from the device to the host are numbered. Waiting for one is waiting for all that have begun.
  [[nodiscard]] std::int64_t begin_copy() { return ++copies_begun_; }
  [[nodiscard]] bool has_copied(std::int64_t number) const { return number <= copies_done_; }
  void wait_for_copies();
  /// Run memory for weights, gradients, optimizer, communication; step memory for the rest.
  [[nodiscard]] Allocator& allocator(MemoryCategory category, Place place = Place::device);

 private:
  Device device_;
  std::unique_ptr<DeviceRuntime> runtime_;
  int threads_;
  ThreadPool pool_;
  MemoryTable memory_, host_memory_;
  Profile profile_;
  HostHeap heap_;
  Arena step_memory_;
  std::int64_t copies_begun_ = 0, copies_done_ = 0;
};

}  // namespace granule
