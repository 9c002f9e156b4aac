// The CUDA plug-in in a program that has all modules.
#include <cstdlib>

#include "core/device_runtime.hpp"
#include "core/kernels/matmul.hpp"
#include "core/plugin.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

#ifdef GRANULE_CUDA_LIBRARY
namespace {

CudaStatus load_from(const char* path) {
  const char* const before = std::getenv("GRANULE_CUDA_PLUGIN");
  const std::string kept = before == nullptr ? "" : before;
  setenv("GRANULE_CUDA_PLUGIN", path, 1);
  CudaStatus status = load_cuda_plugin();
  before == nullptr ? unsetenv("GRANULE_CUDA_PLUGIN") : setenv("GRANULE_CUDA_PLUGIN", kept.c_str(), 1);
  return status;
}

}  // namespace

TEST_CASE("cuda plug-in: the real one fills the slots that it claims, and says why there is no device") {
  CHECK_FALSE(matmul_kernel.has(DeviceType::cuda));
  const CudaStatus status = load_from(GRANULE_CUDA_LIBRARY);
  INFO(status.reason);
  CHECK(matmul_kernel.has(DeviceType::cuda));
  CHECK(status.slots > 0);
  if (status.devices > 0) return;
  CHECK((status.state == CudaState::no_driver || status.state == CudaState::no_device));
  CHECK_FALSE(status.reason.empty());
  CHECK_FALSE(is_offered(DeviceType::cuda));
}

TEST_CASE("cuda plug-in: the emulated one has as many kernels as the real one, and a device") {
  const CudaStatus real = load_from(GRANULE_CUDA_LIBRARY), emulated = load_from(GRANULE_CUDA_EMULATED);
  CHECK(emulated.state == CudaState::ready);
  CHECK(emulated.slots == real.slots);
  CHECK(is_offered(DeviceType::cuda));
}
#endif
