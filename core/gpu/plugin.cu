#include <cstring>

#include "core/device_remarks.hpp"
#include "core/gpu/runtime.cuh"
#include "core/plugin.hpp"

namespace granule::gpu {
namespace {

/// Constructors set it while the library is loaded, before anyone can read it.
constinit const Kernels* files = nullptr;

std::unique_ptr<DeviceRuntime> make_runtime(int index) {
  return std::make_unique<Runtime>(index);
}
std::string remarks_of(const DeviceRuntime& runtime) {
  return static_cast<const Runtime&>(runtime).remarks();
}

}  // namespace

void check(cudaError_t status, const char* what, const char* file, int line) {
  if (status == cudaSuccess) return;
  const bool memory = status == cudaErrorMemoryAllocation;
  throw Error(memory ? ExitCode::out_of_memory : ExitCode::failure,
              fmt::format("CUDA: {} ({})", cudaGetErrorString(status), cudaGetErrorName(status)),
              fmt::format("{} at {}:{}", what, file, line),
              memory ? "use a smaller model or batch, or a device with more memory" : "");
}

dim3 grid_of(const LaunchShape& shape) {
  constexpr std::int64_t kMostX = 2147483647, kMostY = 65535;
  GRANULE_CHECK(shape.blocks_x <= kMostX && shape.blocks_y <= kMostY,
                "CUDA: a grid of {} by {}, at most {} by {}", shape.blocks_x, shape.blocks_y, kMostX, kMostY);
  return {static_cast<unsigned>(shape.blocks_x), static_cast<unsigned>(shape.blocks_y)};
}

Kernels::Kernels(int (*fill)()) : fill_(fill), next_(std::exchange(files, this)) {}

int Kernels::fill_all() {
  int slots = 0;
  for (const Kernels* file = files; file != nullptr; file = file->next_) slots += file->fill_();
  return slots;
}

}  // namespace granule::gpu

extern "C" __attribute__((visibility("default"))) void granule_cuda_plugin(
    granule::CudaPluginReport* report) {
  const bool same = std::strcmp(std::exchange(report->version, GRANULE_VERSION), GRANULE_VERSION) == 0;
  if (!same) return;
  report->slots = granule::gpu::Kernels::fill_all();
  const cudaError_t status = cudaGetDeviceCount(&report->devices);
  if (status != cudaSuccess) {
    report->devices = 0;
    report->no_driver = status == cudaErrorInsufficientDriver;
    std::strncpy(report->reason.data(), cudaGetErrorString(status), report->reason.size() - 1);
  }
  cudaDeviceProp first{};
  static_assert(sizeof(first.name) == sizeof(report->device_name));
  if (report->devices > 0 && cudaGetDeviceProperties(&first, 0) == cudaSuccess)
    std::memcpy(report->device_name.data(), first.name, sizeof(first.name));
  if (report->devices <= 0) return;
  granule::offer_device(granule::DeviceType::cuda, granule::gpu::make_runtime);
  granule::offer_device_remarks(granule::DeviceType::cuda, granule::gpu::remarks_of);
}
