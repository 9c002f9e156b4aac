// The ranks of a job, as the trainer sees them. One rank needs no MPI: it is initialised only under a
// launcher.
#pragma once
#include <memory>
#include <string_view>

#include "core/error.hpp"

namespace granule {

class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// The one way out for a rank that fails: ends every rank of the job with this exit code.
  [[noreturn]] virtual void abort(ExitCode code, std::string_view message) = 0;
};

/// A job of one rank. abort() throws.
class SelfCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  [[noreturn]] void abort(ExitCode code, std::string_view message) override;
};

/// Whether this process was started by mpirun, srun or another MPI launcher.
[[nodiscard]] bool under_mpi_launcher();

/// The ranks of this process's job: one without a launcher, else MPI's, initialised now and finalised when
/// the communicator goes.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator();

}  // namespace granule
