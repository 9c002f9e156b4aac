#include <new>

#include "core/background.hpp"
#include "core/gpu/cudnn/attention_plans.cuh"
#include "core/gpu/runtime.cuh"

namespace granule::gpu {
namespace {

/// Counts a failure if one of two runs of bytes has another value somewhere. It runs as one block.
__global__ void __launch_bounds__(128)
    compare_bytes(const std::byte* a, std::int64_t a_bytes, const std::byte* b, std::int64_t b_bytes,
                  std::byte value, unsigned* failed) {
  bool differs = false;
  for (std::int64_t i = threadIdx.x; i < a_bytes; i += blockDim.x) differs |= a[i] != value;
  for (std::int64_t i = threadIdx.x; i < b_bytes; i += blockDim.x) differs |= b[i] != value;
  if (__syncthreads_or(differs ? 1 : 0) != 0 && threadIdx.x == 0) *failed += 1;
}

}  // namespace

Runtime::Runtime(int index) : owner_(std::this_thread::get_id()) {
  GRANULE_GPU_CHECK(cudaSetDevice(index));
  GRANULE_GPU_CHECK(cudaDeviceGetAttribute(&major_, cudaDevAttrComputeCapabilityMajor, index));
  GRANULE_GPU_CHECK(cudaDeviceGetAttribute(&minor_, cudaDevAttrComputeCapabilityMinor, index));
  lane_ = std::make_unique<Lane>(major_);
  side_lanes_ = std::make_unique<SideLanes>(*lane_, major_);
  void* record = nullptr;
  GRANULE_GPU_CHECK(cudaHostAlloc(&record, sizeof(FaultRecord), cudaHostAllocMapped));
  faults_ = new (record) FaultRecord;
  GRANULE_GPU_CHECK(cudaMalloc(reinterpret_cast<void**>(&failed_checks_), sizeof(unsigned)));
  GRANULE_GPU_CHECK(cudaMemsetAsync(failed_checks_, 0, sizeof(unsigned), stream()));
  ring_ = std::make_unique<PinnedRing>(stream());
  clock_ = std::make_unique<EventClock>(*this, stream());
}

Runtime::~Runtime() {
  attention_plans_.reset();
  cudaFree(failed_checks_);
  clock_.reset();
  ring_.reset();
  cudaFreeHost(faults_);
}

std::byte* Runtime::allocate(std::int64_t bytes) {
  void* data = nullptr;
  GRANULE_GPU_CHECK(cudaMalloc(&data, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))));
  return static_cast<std::byte*>(data);
}

void Runtime::release(std::byte* data, std::int64_t /*bytes*/) noexcept {
  cudaFree(data);
}

/// What is free, but a twentieth, which the driver and the libraries use.
std::int64_t Runtime::step_memory() const {
  std::size_t free = 0, total = 0;
  GRANULE_GPU_CHECK(cudaMemGetInfo(&free, &total));
  return static_cast<std::int64_t>(free / 20 * 19);
}

void Runtime::copy_to_device(std::byte* to, std::span<const std::byte> from) {
  ring_->to_device(to, from);
}

void Runtime::copy_to_host(std::span<std::byte> to, const std::byte* from) {
  ring_->to_host(to, from);
}

void Runtime::fill(std::byte* data, std::int64_t bytes, std::byte value) {
  GRANULE_GPU_CHECK(
      cudaMemsetAsync(data, std::to_integer<int>(value), static_cast<std::size_t>(bytes), stream()));
}

void Runtime::check(Pieces pieces, std::byte value) {
  GRANULE_ASSERT(pieces.size() == 2, "a check of {} pieces", pieces.size());
  launch(stream(), compare_bytes, {1, 1, 128}, pieces[0].data(), std::ssize(pieces[0]), pieces[1].data(),
         std::ssize(pieces[1]), value, failed_checks_);
}

std::int64_t Runtime::failed_checks() {
  unsigned failed = 0;
  copy_to_host(std::as_writable_bytes(std::span(&failed, 1)),
               reinterpret_cast<const std::byte*>(failed_checks_));
  wait();
  return failed;
}

void Runtime::wait() {
  // What the stream waits for may need this thread.
  if (has_background()) wait_until([this] { return cudaStreamQuery(stream()) != cudaErrorNotReady; });
  GRANULE_GPU_CHECK(cudaStreamSynchronize(stream()));
  ring_->deliver();
}

void Runtime::throw_faults() {
  if (faults_->text == 0) return;
  const FaultRecord found = *faults_;
  *faults_ = {};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): fault() made it of this pointer
  const auto* const text = reinterpret_cast<const FaultText*>(found.text);
  detail::check_failed(
      text->file, text->line,
      fmt::format(fmt::runtime(text->text), found.numbers[0], found.numbers[1], found.numbers[2]));
}

void Runtime::begin_kernel(std::span<const std::span<std::byte>> /*memory*/) {
  GRANULE_ASSERT(std::this_thread::get_id() == owner_,
                 "a kernel is started by another thread than the rank's");
}

dnn::AttentionPlans& Runtime::attention_plans() {
  if (attention_plans_ == nullptr)
    attention_plans_ = std::make_unique<dnn::AttentionPlans>(stream(), major_ * 10 + minor_);
  return *attention_plans_;
}

std::string Runtime::remarks() const {
  return attention_plans_ == nullptr ? "" : attention_plans_->remarks();
}

}  // namespace granule::gpu
