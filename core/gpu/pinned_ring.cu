#include <cstring>

#include "core/allocator.hpp"
#include "core/background.hpp"
#include "core/gpu/pinned_ring.cuh"

namespace granule::gpu {
namespace {

constexpr std::size_t kHalf = std::size_t{8} << 20;

}  // namespace

PinnedRing::PinnedRing(cudaStream_t stream) : stream_(stream) {
  for (Half& half : halves_) {
    GRANULE_GPU_CHECK(cudaHostAlloc(reinterpret_cast<void**>(&half.memory), kHalf, cudaHostAllocDefault));
    GRANULE_GPU_CHECK(cudaEventCreateWithFlags(&half.passed, cudaEventDisableTiming));
  }
}

PinnedRing::~PinnedRing() {
  for (const Half& half : halves_) {
    cudaEventDestroy(half.passed);
    cudaFreeHost(half.memory);
  }
}

void PinnedRing::Half::deliver() {
  for (const Arriving& piece : arriving) std::memcpy(piece.to.data(), piece.from, piece.to.size());
  arriving.clear();
}

void PinnedRing::enter_other_half() {
  GRANULE_GPU_CHECK(cudaEventRecord(halves_[now_].passed, stream_));
  now_ = 1 - now_;
  const cudaEvent_t passed = halves_[now_].passed;
  if (has_background()) wait_until([passed] { return cudaEventQuery(passed) != cudaErrorNotReady; });
  GRANULE_GPU_CHECK(cudaEventSynchronize(passed));
  halves_[now_].deliver();
  halves_[now_].used = 0;
}

std::span<std::byte> PinnedRing::take(std::size_t wanted) {
  if (halves_[now_].used == kHalf) enter_other_half();
  Half& half = halves_[now_];
  const std::span<std::byte> part(half.memory + half.used, std::min(wanted, kHalf - half.used));
  const auto aligned = static_cast<std::size_t>(align_up(static_cast<std::int64_t>(part.size())));
  half.used = std::min(kHalf, half.used + aligned);
  return part;
}

void PinnedRing::to_device(std::byte* to, std::span<const std::byte> from) {
  while (!from.empty()) {
    const std::span<std::byte> part = take(from.size());
    std::memcpy(part.data(), from.data(), part.size());
    GRANULE_GPU_CHECK(cudaMemcpyAsync(to, part.data(), part.size(), cudaMemcpyDefault, stream_));
    to += part.size();
    from = from.subspan(part.size());
  }
}

void PinnedRing::to_host(std::span<std::byte> to, const std::byte* from) {
  while (!to.empty()) {
    const std::span<std::byte> part = take(to.size());
    GRANULE_GPU_CHECK(cudaMemcpyAsync(part.data(), from, part.size(), cudaMemcpyDefault, stream_));
    halves_[now_].arriving.push_back({to.first(part.size()), part.data()});
    from += part.size();
    to = to.subspan(part.size());
  }
}

void PinnedRing::deliver() {
  for (Half& half : halves_) half.deliver();
}

}  // namespace granule::gpu
