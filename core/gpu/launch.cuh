// What every .cu file of the plug-in starts from: errors, launches of kernels, shared memory, and the way in
// which a file puts its kernels into the operators' slots. nvcc compiles it, and for tests g++ with the
// device of tests/cuda_emulation.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>

#include <cuda_runtime.h>

#include "core/error.hpp"

/// Variables in the shared memory of a block: one of a type, or an array whose size the launch states. The
/// emulator has its own.
#ifndef GRANULE_SHARED
#define GRANULE_SHARED(type, name) __shared__ std::type_identity_t<type> name
#define GRANULE_DYNAMIC_SHARED(type, name)                      \
  extern __shared__ __align__(16) unsigned char shared_bytes[]; \
  auto* const name = reinterpret_cast<type*>(shared_bytes)
#endif

namespace granule::gpu {

/// Throws Error with CUDA's own words: failure, or out of memory if it is that.
void check(cudaError_t status, const char* what, const char* file, int line);

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;
/// Threads of a block, unless a kernel has a reason for another number.
inline constexpr unsigned kThreads = 256;

[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

struct LaunchShape {
  std::int64_t blocks_x;
  std::int64_t blocks_y = 1;
  unsigned threads = kThreads;
  std::int64_t shared_bytes = 0;  ///< of dynamic shared memory
};

/// One thread for each piece of work, in blocks of whole warps.
[[nodiscard]] inline LaunchShape one_thread_each(std::int64_t work) {
  const auto wanted = ceil_div(std::max<std::int64_t>(work, 1), kWarp) * kWarp;
  const auto threads = static_cast<unsigned>(std::min<std::int64_t>(wanted, kThreads));
  return {ceil_div(work, threads), 1, threads};
}
/// One warp for each piece of work.
[[nodiscard]] inline LaunchShape one_warp_each(std::int64_t work) {
  constexpr std::int64_t kWarps = 8;
  const std::int64_t warps = std::min(std::max<std::int64_t>(work, 1), kWarps);
  return {ceil_div(work, warps), 1, static_cast<unsigned>(warps * kWarp)};
}
/// A block for each row of so many elements, with a thread for each of them up to a limit.
[[nodiscard]] inline unsigned threads_for_row(std::int64_t elements, unsigned most = kThreads) {
  const auto wanted = ceil_div(std::max<std::int64_t>(elements, 1), kWarp) * kWarp;
  return static_cast<unsigned>(std::min<std::int64_t>(wanted, most));
}

/// Throws if a grid would be larger than any device takes.
[[nodiscard]] dim3 grid_of(const LaunchShape& shape);

/// Runs a kernel in the stream's turn, unless the grid is empty. Arguments are converted on the host.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, void (*kernel)(Parameters...), const LaunchShape& shape,
            Arguments&&... arguments) {
  if (shape.blocks_x == 0 || shape.blocks_y == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = grid_of(shape);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = static_cast<std::size_t>(shape.shared_bytes);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...),
        "kernel launch", __FILE__, __LINE__);
}

/// The index of this thread in the grid, and of its warp. Blocks are one-dimensional.
__device__ inline std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t warp_index() {
  return static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
}
__device__ inline int lane_index() {
  return static_cast<int>(threadIdx.x % kWarp);
}

/// To be declared at namespace scope of a .cu file. `fill` puts its kernels into slots and returns how many.
/// It runs when the plug-in is loaded (core/plugin.hpp).
class Kernels {
 public:
  explicit Kernels(int (*fill)());
  /// Fills the slots of every file; returns their number.
  static int fill_all();

 private:
  int (*fill_)();
  const Kernels* next_;
};

}  // namespace granule::gpu

#define GRANULE_GPU_CHECK(call) ::granule::gpu::check((call), #call, __FILE__, __LINE__)
