// A communicator of NCCL that never blocks the host: its calls are polled until they are done, and another
// thread may abort it.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>

#include <nccl.h>

namespace granule::gpu {

class NcclGroup {
 public:
  /// All ranks of the group together, on the current device. Throws Error: exit code 75 if they have not
  /// found each other in time.
  NcclGroup(const ncclUniqueId& id, int rank, int size, double seconds);
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  /// The group of this color, ordered by key, or nullptr if the color is negative. All ranks together.
  [[nodiscard]] std::unique_ptr<NcclGroup> split(int color, int key);

  /// Makes calls that belong together, and returns when all are enqueued on their streams. `calls` returns
  /// the first answer that is no success. Does nothing after abort().
  void call(std::string_view what, const std::function<ncclResult_t(ncclComm_t)>& calls);
  /// Throws if NCCL has found an error.
  void check();
  /// Any thread may call it.
  void abort() noexcept;

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }

 private:
  NcclGroup(ncclComm_t comm, double seconds);
  /// NCCL's own state of this communicator: in progress, success or an error. Success after abort().
  [[nodiscard]] ncclResult_t state();
  void wait_while_in_progress(std::string_view what);
  [[noreturn]] void fail(ncclResult_t result, std::string_view what);

  std::mutex mutex_;           // guards every call with comm_
  ncclComm_t comm_ = nullptr;  // null after abort()
  double seconds_;
  int rank_ = 0, size_ = 0;
};

}  // namespace granule::gpu
