// The mirror device (tests/support/mirror_device.hpp) as a plug-in. GRANULE_CUDA_PLUGIN names it, and then
// train.device = "cuda" runs on it.
#include "core/plugin.hpp"
#include "tests/support/mirror_device.hpp"

extern "C" __attribute__((visibility("default"))) void granule_cuda_plugin(
    granule::CudaPluginReport* report) {
  granule::offer_device(granule::DeviceType::cuda, granule::test::make_mirror_device);
  report->devices = 64;  // each is made of the memory of its process
}
