// The runtime of a CUDA device (core/device_runtime.hpp), and what kernels take from it: the stream of their
// Context, cuBLAS, and a place to report what is wrong in their arguments.
#pragma once
#include <memory>
#include <thread>

#include "core/gpu/event_clock.cuh"
#include "core/gpu/lane.cuh"
#include "core/gpu/launch.cuh"
#include "core/gpu/pinned_heap.cuh"
#include "core/gpu/pinned_ring.cuh"
#include "core/tensor.hpp"

namespace granule::gpu {

namespace dnn {
class AttentionPlans;  // core/gpu/cudnn/attention_plans.cuh
}

/// A message of GRANULE_CHECK with up to three numbers, for a mistake that only a kernel can see.
struct FaultText {
  const char* text;
  const char* file;
  int line;
};

/// What a kernel found. It is in pinned memory, so the host needs no copy.
struct FaultRecord {
  unsigned long long text = 0;  // the address of the FaultText, for the host
  long long numbers[3] = {};
};

/// An argument of a kernel that checks what it reads.
struct Fault {
  FaultRecord* record;
  unsigned long long text;
  /// The first report counts. The host throws it when it has waited for the device.
  __device__ void report(std::int64_t a, std::int64_t b = 0, std::int64_t c = 0) const {
    if (atomicCAS(&record->text, 0ULL, text) != 0ULL) return;
    record->numbers[0] = a;
    record->numbers[1] = b;
    record->numbers[2] = c;
    __threadfence_system();
  }
};

class Runtime final : public DeviceRuntime {
 public:
  explicit Runtime(int index);
  ~Runtime() override;

  std::byte* allocate(std::int64_t bytes) override;
  void release(std::byte* data, std::int64_t bytes) noexcept override;
  std::int64_t step_memory() const override;
  void copy_to_device(std::byte* to, std::span<const std::byte> from) override;
  void copy_to_host(std::span<std::byte> to, const std::byte* from) override;
  void fill(std::byte* data, std::int64_t bytes, std::byte value) override;
  void check(Pieces pieces, std::byte value) override;
  std::int64_t failed_checks() override;
  void wait() override;
  void throw_faults() override;
  DeviceType kernels() const override { return DeviceType::cuda; }
  void begin_kernel(std::span<const std::span<std::byte>> memory) override;
  void end_kernel() noexcept override {}
  Allocator& pinned() override { return pinned_; }
  DeviceClock* clock() override { return clock_.get(); }

  [[nodiscard]] cudaStream_t stream() const { return lane_->stream(); }
  [[nodiscard]] Lane& lane() { return *lane_; }
  [[nodiscard]] SideLanes& side_lanes() { return *side_lanes_; }
  /// They are made when they are first asked for, and for the current device of the thread.
  [[nodiscard]] dnn::AttentionPlans& attention_plans();
  /// What its libraries chose. Empty if nothing was asked of them.
  [[nodiscard]] std::string remarks() const;
  [[nodiscard]] Fault fault(const FaultText& text) const {
    return {faults_, reinterpret_cast<unsigned long long>(&text)};
  }

 private:
  std::thread::id owner_;      // CUDA knows the current device of each thread apart
  int major_ = 0, minor_ = 0;  // of the compute capability
  // The memory of steps takes what is free, and the workspaces of these must come before.
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<SideLanes> side_lanes_;
  FaultRecord* faults_ = nullptr;
  std::unique_ptr<PinnedRing> ring_;
  std::unique_ptr<EventClock> clock_;
  PinnedHeap pinned_;
  std::unique_ptr<dnn::AttentionPlans> attention_plans_;
  unsigned* failed_checks_ = nullptr;  // on the device
};

[[nodiscard]] inline Runtime& runtime_of(const Tensor& tensor) {
  return static_cast<Runtime&>(*tensor.context().runtime());
}
[[nodiscard]] inline cudaStream_t stream_of(const Tensor& tensor) {
  return runtime_of(tensor).stream();
}

}  // namespace granule::gpu

/// The Fault of a kernel's launch.
#define GRANULE_FAULT(runtime, message)                                            \
  [&]() -> ::granule::gpu::Fault {                                                 \
    static constexpr ::granule::gpu::FaultText kText{message, __FILE__, __LINE__}; \
    return (runtime).fault(kText);                                                 \
  }()
