// What every .cu file of the plug-in starts from: errors, launches of kernels and the stream. It also has the
// way in which a file puts its kernels into the operators' slots. It is for nvcc only; no .cpp file includes
// it.
#pragma once
#include <cstdint>
#include <utility>

#include <cuda_runtime.h>

#include "core/error.hpp"

namespace granule::gpu {

/// Throws Error with CUDA's own words: failure, or out of memory if it is that.
void check(cudaError_t status, const char* what, const char* file, int line);

/// Each rank is a thread, so the stream of the thread keeps the rank's kernels in order.
[[nodiscard]] inline cudaStream_t stream() {
  return cudaStreamPerThread;
}

struct LaunchShape {
  std::int64_t blocks_x;
  std::int64_t blocks_y = 1;
  unsigned threads = 256;
};

/// Throws if a grid would be larger than any device takes.
[[nodiscard]] dim3 grid_of(const LaunchShape& shape);

/// Runs a kernel on the rank's stream, unless the grid is empty. Arguments are converted on the host.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, Arguments&&... arguments) {
  if (shape.blocks_x == 0 || shape.blocks_y == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = grid_of(shape);
  config.blockDim = dim3(shape.threads);
  config.stream = stream();
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...),
        "kernel launch", __FILE__, __LINE__);
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
