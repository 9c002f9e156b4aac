// The ranks that an MPI launcher started.
#pragma once
#include "distributed/communicator.hpp"

namespace granule {

class MpiCommunicator final : public Communicator {
 public:
  /// Initialises MPI for calls from one thread at a time (MPI_THREAD_FUNNELED).
  MpiCommunicator();
  ~MpiCommunicator() override;
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[noreturn]] void abort(ExitCode code, std::string_view message) override;

 private:
  int rank_ = 0, size_ = 1;
};

}  // namespace granule
