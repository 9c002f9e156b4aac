#include <array>

#include "core/error.hpp"
#include "core/gpu/cudnn/descriptor.cuh"

namespace granule::gpu::dnn {

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> why{};
  cudnnGetLastErrorString(why.data(), why.size());
  throw Error(ExitCode::failure, fmt::format("cuDNN: {} ({})", cudnnGetErrorString(status), why.data()), what,
              "");
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  check(cudnnBackendCreateDescriptor(type, &raw_), "cudnnBackendCreateDescriptor");
}

Descriptor::~Descriptor() {
  if (raw_ != nullptr) cudnnBackendDestroyDescriptor(raw_);
}

Descriptor& Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag,
                                std::int64_t count, const void* values) {
  check(cudnnBackendSetAttribute(raw_, name, tag, count, values), "cudnnBackendSetAttribute");
  return *this;
}

Descriptor& Descriptor::finalise() {
  check(cudnnBackendFinalize(raw_), "cudnnBackendFinalize");
  return *this;
}

bool Descriptor::finalise_if_supported() {
  const cudnnStatus_t status = cudnnBackendFinalize(raw_);
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
  // An engine may claim a graph and then have no kernel for it.
  if (status == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED) return false;
  check(status, "cudnnBackendFinalize");
  return true;
}

std::int64_t Descriptor::get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag,
                                 std::int64_t most, void* values) const {
  std::int64_t count = 0;
  check(cudnnBackendGetAttribute(raw_, name, tag, most, &count, values), "cudnnBackendGetAttribute");
  return count;
}

}  // namespace granule::gpu::dnn
