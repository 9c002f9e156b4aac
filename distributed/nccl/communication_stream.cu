#include "distributed/nccl/communication_stream.cuh"

namespace granule::gpu {

Mark::Mark(cudaStream_t stream) {
  GRANULE_GPU_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
  GRANULE_GPU_CHECK(cudaEventRecord(event_, stream));
}

bool Mark::passed() const {
  const cudaError_t state = cudaEventQuery(event_);
  if (state != cudaErrorNotReady) GRANULE_GPU_CHECK(state);
  return state == cudaSuccess;
}

void Mark::comes_before(cudaStream_t stream) const {
  GRANULE_GPU_CHECK(cudaStreamWaitEvent(stream, event_, 0));
}

CommunicationStream::CommunicationStream(Context& context)
    : context_(context), computation_(static_cast<Runtime&>(*context.runtime()).stream()) {
  GRANULE_GPU_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

std::byte* CommunicationStream::staging(std::int64_t bytes) {
  if (!staging_.defined() || staging_.bytes() < bytes) {
    staging_ = {};  // the device has passed everything that uses it before it is freed
    staging_ = Tensor::empty(context_, {bytes}, DType::u8, MemoryCategory::communication);
  }
  return staging_.raw();
}

void CommunicationStream::check() const {
  const cudaError_t state = cudaStreamQuery(stream_);
  if (state != cudaErrorNotReady) GRANULE_GPU_CHECK(state);
}

}  // namespace granule::gpu
