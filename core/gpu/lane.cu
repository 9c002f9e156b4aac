#include "core/error.hpp"
#include "core/gpu/lane.cuh"

namespace granule::gpu {
namespace {

/// What cuBLAS recommends for its workspace on Hopper and after it, and before.
constexpr std::size_t kLargeWorkspace = std::size_t{32} << 20, kSmallWorkspace = std::size_t{4} << 20;
constexpr std::size_t kOthers = 3;  // beside the main lane

cudaEvent_t make_event() {
  cudaEvent_t event = nullptr;
  GRANULE_GPU_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

}  // namespace

void check_blas(cublasStatus_t status, const char* what) {
  GRANULE_CHECK(status == CUBLAS_STATUS_SUCCESS, "CUDA: {}: {}", what, cublasGetStatusString(status));
}

Lane::Lane(int major) {
  GRANULE_GPU_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  check_blas(cublasCreate(&blas_), "cublasCreate");
  check_blas(cublasSetStream(blas_, stream_), "cublasSetStream");
  // cuBLAS may otherwise add parts of a sum in the type of the result, which is bf16.
  check_blas(cublasSetMathMode(blas_, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode");
  const std::size_t bytes = major >= 9 ? kLargeWorkspace : kSmallWorkspace;
  GRANULE_GPU_CHECK(cudaMalloc(&workspace_, bytes));
  check_blas(cublasSetWorkspace(blas_, workspace_, bytes), "cublasSetWorkspace");
}

Lane::~Lane() {
  if (blas_ != nullptr) cublasDestroy(blas_);
  cudaFree(workspace_);
  cudaStreamDestroy(stream_);
}

SideLanes::SideLanes(Lane& main, int major) : main_(main), begin_(make_event()) {
  for (std::size_t i = 0; i < kOthers; ++i) {
    others_.push_back(std::make_unique<Lane>(major));
    ends_.push_back(make_event());
  }
}

SideLanes::~SideLanes() {
  for (cudaEvent_t event : ends_) cudaEventDestroy(event);
  cudaEventDestroy(begin_);
}

Lane& SideLanes::lane(std::int64_t i) {
  const auto turn = static_cast<std::size_t>(i) % (others_.size() + 1);
  return turn == others_.size() ? main_ : *others_[turn];
}

void SideLanes::fork() {
  GRANULE_GPU_CHECK(cudaEventRecord(begin_, main_.stream()));
  for (const auto& other : others_) GRANULE_GPU_CHECK(cudaStreamWaitEvent(other->stream(), begin_, 0));
}

void SideLanes::join() {
  for (std::size_t i = 0; i < others_.size(); ++i) {
    GRANULE_GPU_CHECK(cudaEventRecord(ends_[i], others_[i]->stream()));
    GRANULE_GPU_CHECK(cudaStreamWaitEvent(main_.stream(), ends_[i], 0));
  }
}

}  // namespace granule::gpu
