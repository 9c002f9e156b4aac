// A stream with cuBLAS on it. A Runtime has one for everything in order, and some beside it for products that
// do not need each other's results.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include <cublas_v2.h>

#include "core/gpu/launch.cuh"

namespace granule::gpu {

/// Throws Error with cuBLAS's own words.
void check_blas(cublasStatus_t status, const char* what);

/// Products of float32 stay float32, whatever the tensor cores offer. The workspace is the stream's own, so
/// results repeat.
class Lane {
 public:
  /// On the current device, whose compute capability begins with `major`.
  explicit Lane(int major);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  [[nodiscard]] cublasHandle_t blas() const { return blas_; }

 private:
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  void* workspace_ = nullptr;
};

/// Small products fill a part of a GPU. Several at once fill it.
class SideLanes {
 public:
  SideLanes(Lane& main, int major);
  ~SideLanes();
  SideLanes(const SideLanes&) = delete;
  SideLanes& operator=(const SideLanes&) = delete;

  /// Calls work(lane, i) for i below `count`. What is submitted to one lane follows what the main one has so
  /// far, and the main one then waits for all. No work may need what another one writes.
  template <class Work>
  void spread(std::int64_t count, const Work& work) {
    fork();
    try {
      for (std::int64_t i = 0; i < count; ++i) work(lane(i), i);
    } catch (...) {
      join();  // the memory that others still write may be given away after this
      throw;
    }
    join();
  }

 private:
  [[nodiscard]] Lane& lane(std::int64_t i);
  void fork();
  void join();

  Lane& main_;
  std::vector<std::unique_ptr<Lane>> others_;
  cudaEvent_t begin_ = nullptr;
  std::vector<cudaEvent_t> ends_;  // of the others
};

}  // namespace granule::gpu
