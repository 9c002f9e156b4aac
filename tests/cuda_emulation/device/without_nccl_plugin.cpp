// The emulated CUDA plug-in as it would be without NCCL: it offers no carrier of tensors.
#include <dlfcn.h>

#include "core/plugin.hpp"
#include "distributed/communicators/device_carrier.hpp"

extern "C" __attribute__((visibility("default"))) void granule_cuda_plugin(
    granule::CudaPluginReport* report) {
  void* const whole = dlopen(GRANULE_CUDA_EMULATED, RTLD_NOW);
  const auto load = reinterpret_cast<void (*)(granule::CudaPluginReport*)>(
      whole == nullptr ? nullptr : dlsym(whole, "granule_cuda_plugin"));
  if (load == nullptr) return;  // the report has no kernel slots, so the program finds no device
  load(report);
  granule::offer_device_carrier(granule::DeviceType::cuda, nullptr, "");
}
