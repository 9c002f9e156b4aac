// The ranks of a job, or of a group of them, and the collectives that they run together. The trainer,
// sharding and the expert dispatcher speak to this interface alone; who carries the bytes (one rank, threads,
// MPI) is behind it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/communicators/collective.hpp"
#include "distributed/communicators/ledger.hpp"
#include "distributed/communicators/pending.hpp"

namespace granule {

/// Collectives are called by every rank of the group, in the same order, with the same phase; they start at
/// once and end in the Pending they return. Tensors are f32, f64, i64 or i32 and keep their counts and row
/// widths: nobody counts bytes. A group of one rank copies what others would send. Sums of the same ranks
/// over the same shapes have the same bits on every rank and in every run. Throws Error (1) for buffers that
/// do not fit, (76) for ranks that run different collectives, and the code of abort() after one. A
/// communicator outlives its Pendings.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] int rank() const { return place_.rank; }
  [[nodiscard]] int size() const { return place_.size; }
  [[nodiscard]] const std::string& name() const { return place_.group; }
  [[nodiscard]] int world_rank() const { return place_.world_rank; }
  [[nodiscard]] Ledger& ledger() const { return *ledger_; }

  /// The one way out for a rank that fails: ends every rank of the job with this exit code. Thread ranks that
  /// wait, or call again, throw it; under MPI the message is printed and the processes end.
  [[noreturn]] virtual void abort(ExitCode code, std::string_view message) = 0;

  /// Groups of the ranks that name the same color (≥ 0), in the order of key and then rank. Waits for all
  /// ranks.
  [[nodiscard]] std::unique_ptr<Communicator> split(int color, int key, std::string_view name);

  /// In place: every element becomes the sum over the ranks.
  [[nodiscard]] Pending all_reduce(const Tensor& data, Phase phase);
  /// In place, for a few values on the host. A NaN is the maximum and the minimum.
  [[nodiscard]] Pending all_reduce(std::span<double> values, ReduceOp reduce, Phase phase);
  [[nodiscard]] Pending all_reduce(std::span<std::int64_t> values, ReduceOp reduce, Phase phase);
  /// part = this rank's size()-th of the sum over ranks of `whole`. In place when part is that slice of
  /// whole, whose other slices hold nothing of use afterwards; apart from that the two must not overlap.
  [[nodiscard]] Pending reduce_scatter(const Tensor& whole, const Tensor& part, Phase phase);
  /// whole = the parts of all ranks in their order. In place when part is this rank's slice of whole; apart
  /// from that the two must not overlap.
  [[nodiscard]] Pending all_gather(const Tensor& part, const Tensor& whole, Phase phase);
  /// The same for a few values on the host, as counts of rows.
  [[nodiscard]] Pending all_gather(std::span<const std::int64_t> mine, std::span<std::int64_t> all,
                                   Phase phase);
  /// In place: every rank's data becomes the root's.
  [[nodiscard]] Pending broadcast(const Tensor& data, int root, Phase phase);
  /// Rows send_rows[0] of send_RD go to rank 0, the next send_rows[1] to rank 1, …; receive_RD holds those of
  /// rank 0 first. The counts add up to R on either side, and ranks agree on those between them (else 76). No
  /// overlap.
  [[nodiscard]] Pending all_to_all(const Tensor& send_RD, std::span<const std::int64_t> send_rows,
                                   const Tensor& receive_RD, std::span<const std::int64_t> receive_rows,
                                   Phase phase);
  /// all_RD on the root = the rows of all ranks in their order, `rows` of each. Other ranks pass neither.
  [[nodiscard]] Pending gather(const Tensor& mine_RD, const Tensor& all_RD,
                               std::span<const std::int64_t> rows, int root, Phase phase);
  [[nodiscard]] Pending barrier(Phase phase);

 protected:
  struct Place {
    std::string group;
    int rank = 0, size = 1;
    int world_rank = 0;
  };
  /// A group to be made: its name and color, this rank's place in it, and its members by their rank here.
  struct Group {
    Place place;
    int color = 0;
    std::vector<int> members;
  };
  Communicator(Place place, std::shared_ptr<Ledger> ledger)
      : place_(std::move(place)), ledger_(std::move(ledger)) {}

  /// Starts a checked collective and returns what is left of it, null when nothing is.
  [[nodiscard]] virtual std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) = 0;
  /// Called by all ranks of this communicator together, each for its own group.
  [[nodiscard]] virtual std::unique_ptr<Communicator> form(const Group& group) = 0;

  [[nodiscard]] Ticket next_ticket(const Collective& collective);
  [[nodiscard]] const std::shared_ptr<Ledger>& shared_ledger() const { return ledger_; }

 private:
  [[nodiscard]] Pending run(Collective collective);
  [[nodiscard]] Pending reduce_values(std::byte* values, std::int64_t count, DType dtype, ReduceOp reduce,
                                      Phase phase);
  [[nodiscard]] Collective of_tensors(CollectiveKind kind, const Tensor& input, const Tensor& output,
                                      Phase phase) const;

  Place place_;
  std::shared_ptr<Ledger> ledger_;
  std::int64_t sequence_ = 0;
};

/// A rank's part in a job: runs body, and aborts with the exit code and message of whatever it throws.
void run_or_abort(Communicator& ranks, const std::function<void(Communicator&)>& body);

}  // namespace granule
