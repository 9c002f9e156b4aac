// Signs of life from rank to rank. A rank whose data come slowly still moves, but ranks that wait for it in a
// collective cannot see that. So it sends them signs, and each sign counts as a move for their watchdogs.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <mpi.h>

#include "core/background.hpp"
#include "core/movement.hpp"
#include "distributed/communicators/ledger.hpp"
#include "distributed/mpi/mpi_job.hpp"

namespace granule {

/// Of the thread that made it, which is the one that calls MPI.
class MpiSigns final : public Background {
 public:
  /// All ranks of `world` together. They have a communicator of their own for the signs.
  MpiSigns(std::shared_ptr<MpiJob> job, std::shared_ptr<Ledger> ledger, MPI_Comm world);
  MpiSigns(const MpiSigns&) = delete;
  MpiSigns& operator=(const MpiSigns&) = delete;

  void advance() override {}
  /// Takes the signs that have come while this rank waits for others.
  void advance_in_long_wait() override;
  /// All ranks together, before MPI ends: takes every sign that is still on its way.
  void close();

 private:
  void tell();
  void take(int from);

  std::shared_ptr<MpiJob> job_;
  std::shared_ptr<Ledger> ledger_;
  MPI_Comm signs_ = MPI_COMM_NULL;
  int rank_ = 0;
  char sign_ = 1;
  std::vector<MPI_Request> under_way_;            // the last sign to each rank
  std::vector<std::int64_t> told_, heard_;        // so many to each rank, and from it
  std::chrono::steady_clock::time_point last_{};  // when this rank told the others
  MovementListener listener_;
};

}  // namespace granule
