// The stream on which a rank's collectives run, beside the stream of its kernels. Events keep the two in
// order. It also has the memory in which sums keep what has come from other ranks.
#pragma once
#include "core/gpu/runtime.cuh"

namespace granule::gpu {

/// A place in the work of a stream.
class Mark {
 public:
  explicit Mark(cudaStream_t stream);
  ~Mark() { cudaEventDestroy(event_); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  /// Whether the stream has passed it.
  [[nodiscard]] bool passed() const;
  /// What is enqueued on this stream from now on runs after it.
  void comes_before(cudaStream_t stream) const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// All collectives of a rank run on one stream, in the order in which the rank starts them. So no two of them
/// can wait for each other on different ranks.
class CommunicationStream {
 public:
  /// Of a Context on a CUDA device, which must outlive it.
  explicit CommunicationStream(Context& context);
  ~CommunicationStream() { cudaStreamDestroy(stream_); }
  CommunicationStream(const CommunicationStream&) = delete;
  CommunicationStream& operator=(const CommunicationStream&) = delete;

  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  /// The stream of the Context's kernels.
  [[nodiscard]] cudaStream_t computation() const { return computation_; }
  /// So many bytes at least. The next call may give the same.
  [[nodiscard]] std::byte* staging(std::int64_t bytes);
  /// Throws if the device has failed.
  void check() const;

 private:
  Context& context_;
  cudaStream_t computation_, stream_ = nullptr;
  Tensor staging_;
};

}  // namespace granule::gpu
