// This process's part in an MPI job. It starts and ends MPI and keeps operations moving, and its failures end
// the job.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include <mpi.h>

#include "core/background.hpp"
#include "core/error.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "distributed/wait_guard.hpp"

namespace granule {

class MpiOperation;

class MpiJob final : public Background {
 public:
  /// Initialises MPI for calls from one thread (MPI_THREAD_FUNNELED). Only abort() may come from another
  /// thread.
  MpiJob();
  ~MpiJob() override;
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;

  [[nodiscard]] int rank() const { return rank_; }
  /// Ends every rank of the job with this exit code, after one line on stderr. Any thread may call it. What
  /// carriers of devices have under way is given up. This process ends even if they or MPI do not return.
  [[noreturn]] void abort(ExitCode code, std::string_view message) const;
  /// Ends the job if an MPI call has failed. `call` names it, and `what` the collective that it belongs to.
  void check(int result, std::string_view call, std::string_view what) const;

  /// Watches a wait from here on, before there are ranks or after their watchdogs have ended. A wait over its
  /// limit ends this process with exit code 75, and so the job.
  [[nodiscard]] static std::unique_ptr<WaitGuard> guard_of_start(std::string_view what);
  [[nodiscard]] std::unique_ptr<WaitGuard> guard(std::string_view what) const;
  /// The limit of guard() and of MPI_Finalize; 0 means a minute.
  void set_end_seconds(double seconds) { end_seconds_ = seconds; }

  /// Advances every operation under way a little. A rank that waits for one operation must call it, because
  /// another rank may be waiting for the next one.
  void advance() override;
  /// The carriers of this rank that abort() must end.
  [[nodiscard]] Carriages& carriages() { return carriages_; }
  void add(MpiOperation& operation) { under_way_.push_back(&operation); }
  void remove(MpiOperation& operation) { std::erase(under_way_, &operation); }

 private:
  int rank_ = 0;
  double end_seconds_ = 0.0;
  std::vector<MpiOperation*> under_way_;
  mutable Carriages carriages_;
};

}  // namespace granule
