// This process's part in an MPI job: started and ended here, its operations kept moving, its failures the
// job's end.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include <mpi.h>

#include "core/error.hpp"
#include "distributed/wait_guard.hpp"

namespace granule {

class MpiOperation;

class MpiJob {
 public:
  /// Initialises MPI for calls from one thread (MPI_THREAD_FUNNELED; only abort() may come from another).
  MpiJob();
  ~MpiJob();
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;

  [[nodiscard]] int rank() const { return rank_; }
  /// Ends every rank of the job with this exit code, after one line on stderr. From any thread; this process
  /// ends even where MPI does not come to it.
  [[noreturn]] void abort(ExitCode code, std::string_view message) const;
  /// Ends the job when an MPI call has failed: `call` names it, `what` the collective it belongs to.
  void check(int result, std::string_view call, std::string_view what) const;

  /// Watches a wait from here on: one before there are ranks, or one after their watchdogs have gone. A wait
  /// that is over its limit ends this process with 75, and so the job.
  [[nodiscard]] static std::unique_ptr<WaitGuard> guard_of_start(std::string_view what);
  [[nodiscard]] std::unique_ptr<WaitGuard> guard(std::string_view what) const;
  /// Of guard(), and of MPI_Finalize; 0: a minute.
  void set_end_seconds(double seconds) { end_seconds_ = seconds; }

  /// Moves every operation under way on a little. A rank that waits for one has to: another rank may be
  /// waiting for the next.
  void progress();
  void add(MpiOperation& operation) { under_way_.push_back(&operation); }
  void remove(MpiOperation& operation) { std::erase(under_way_, &operation); }

 private:
  int rank_ = 0;
  double end_seconds_ = 0.0;
  std::vector<MpiOperation*> under_way_;
};

}  // namespace granule
