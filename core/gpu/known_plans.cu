#include <mutex>

#include "core/gpu/known_plans.cuh"
#include "core/gpu/launch.cuh"

namespace granule::gpu {
namespace {

/// By stream. A Context has one stream, and no other Context has it.
struct Known {
  std::mutex mutex;
  std::map<cudaStream_t, std::unique_ptr<dnn::AttentionPlans>> plans;
};
Known& known() {
  static Known all;
  return all;
}

int capability_of_device() {
  int device = 0, major = 0, minor = 0;
  GRANULE_GPU_CHECK(cudaGetDevice(&device));
  GRANULE_GPU_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  GRANULE_GPU_CHECK(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  return major * 10 + minor;
}

}  // namespace

dnn::AttentionPlans& attention_plans(cudaStream_t stream) {
  const std::lock_guard lock(known().mutex);
  auto& plans = known().plans[stream];
  if (plans == nullptr) plans = std::make_unique<dnn::AttentionPlans>(stream, capability_of_device());
  return *plans;
}

std::string attention_remarks(cudaStream_t stream) {
  const std::lock_guard lock(known().mutex);
  const auto found = known().plans.find(stream);
  return found == known().plans.end() ? "" : found->second->remarks();
}

void forget_attention_plans(cudaStream_t stream) {
  const std::lock_guard lock(known().mutex);
  known().plans.erase(stream);
}

}  // namespace granule::gpu
