// A communicator of the fake NCCL: how its ranks find each other, and what it has to do.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <nccl.h>

#include "tests/cuda_emulation/nccl/shared_memory.hpp"
#include "tests/cuda_emulation/nccl/transfers.hpp"

namespace cuda_emulation::nccl {

/// What a test wants of NCCL, in words of GRANULE_EMULATED_NCCL. "fail=N" is an error while the N-th
/// operation of the process runs. With "never-connect" ranks do not find each other. With "tell" the fake
/// writes on stderr that it was aborted. With "compare-nothing" calls that do not fit never end. Otherwise
/// the fake ends such a rank, perhaps before the ranks have compared their calls.
struct Play {
  std::uint64_t fail_at = 0;
  bool never_connects = false, tells = false, compares = true;
};
[[nodiscard]] const Play& play();

/// Of one rank. Streams keep it as long as they have operations of it.
class Group : public std::enable_shared_from_this<Group> {
 public:
  Group(std::unique_ptr<SharedBoard> board, int rank, int size, bool blocking);
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  [[nodiscard]] bool blocking() const { return blocking_; }
  [[nodiscard]] Pipe& pipe(int from, int to) const;

  /// Goes on with what is not done yet. The answer is that of ncclCommGetAsyncError.
  [[nodiscard]] ncclResult_t advance();
  /// Waits until all ranks are there, and for whatever was called.
  void advance_until_done();
  /// Throws unless an operation may be called.
  void require_ready() const;
  /// The operation comes on the stream after a while, as it does if the host is not to be blocked.
  void launch(cudaStream_t stream, std::shared_ptr<Transfers> operation);
  void split(int color, int key, bool blocking, ncclComm_t* made);
  void finalize();
  [[nodiscard]] bool finalized() const { return finalizing_; }
  /// Another thread may call it.
  void abort() { aborted_ = true; }

 private:
  struct Launch {
    cudaStream_t stream;
    std::shared_ptr<Transfers> operation;
  };
  struct Split {
    std::size_t number;
    bool blocking;
    ncclComm_t* made;
  };
  [[nodiscard]] bool connect();
  [[nodiscard]] bool go_on_with_split();
  void enqueue(const Launch& launch);
  /// A part of an operation, in its turn. True if the operation has ended.
  [[nodiscard]] bool run(std::uint64_t turn, Transfers& operation);

  std::unique_ptr<SharedBoard> board_;
  int rank_, size_;
  bool blocking_, connected_ = false, finalizing_ = false;
  std::atomic<bool> aborted_ = false;
  ncclResult_t error_ = ncclSuccess;
  std::uint64_t issued_ = 0, ended_ = 0;  // operations run in the order in which the host has issued them
  std::optional<std::uint64_t> failing_turn_;  // of the operation that fails while it runs
  std::deque<Launch> launches_;                // that the host must still ask for
  int delay_ = 0;
  std::size_t splits_ = 0;
  std::optional<Split> split_;
};

}  // namespace cuda_emulation::nccl

struct ncclComm {
  std::shared_ptr<cuda_emulation::nccl::Group> group;
};
