// The ranks of a job, or of a group of them, and the collectives that they run together. The trainer,
// sharding and the expert dispatcher use only this interface. One rank, threads and MPI implement it.
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

class Carriages;
class DeviceCarrier;
class TensorCarriage;

/// Every rank of the group calls the same collectives, in the same order and with the same phase. They start
/// at once and end in the Pending that they return. Tensors are f32, f64, i64 or i32 and keep their counts
/// and row widths, so nobody counts bytes. They may be on a device (device_carrier.hpp). A group of one rank
/// copies what others would send. Sums of the same ranks over the same shapes have the same bits on every
/// rank, and in every run unless a carrier of a device adds as it likes. Throws Error: 1 for buffers that do
/// not fit, 76 for ranks that run different collectives, and after abort() its code. A communicator must
/// outlive its Pendings.
class Communicator {
 public:
  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] int rank() const { return place_.rank; }
  [[nodiscard]] int size() const { return place_.size; }
  [[nodiscard]] const std::string& name() const { return place_.group; }
  [[nodiscard]] int world_rank() const { return place_.world_rank; }
  [[nodiscard]] Ledger& ledger() const { return *ledger_; }

  /// The only way out for a rank that fails: it ends every rank of the job with this exit code. Thread ranks
  /// that wait, or call again, throw it. Under MPI the message is printed and the processes end.
  [[noreturn]] virtual void abort(ExitCode code, std::string_view message) = 0;

  /// Which group a rank of this communicator goes to, and its place there.
  struct Seat {
    int color = 0, key = 0;
  };
  using SeatOf = std::function<Seat(int rank)>;
  /// Groups of the ranks of the same color (≥ 0), ordered by key and then by rank. Every rank knows the seats
  /// of all, and must give the same ones, so no message is needed to tell them.
  [[nodiscard]] std::unique_ptr<Communicator> split(const SeatOf& seat_of, std::string_view name);

  /// From now on tensors on a device travel by this carrier, and those of groups that are split from here by
  /// carriers that are split from it. With nullptr they pass through the host again. All ranks call it
  /// together.
  virtual void carry_tensors_by(std::unique_ptr<DeviceCarrier> carrier);
  /// Where abort() finds the carriers of this rank. It is nullptr if this communicator takes none, because it
  /// has no peers or they are in the same process.
  [[nodiscard]] virtual Carriages* carriages() { return nullptr; }

  /// In place: every element becomes the sum over the ranks.
  [[nodiscard]] Pending all_reduce(const Tensor& data, Phase phase);
  /// In place, for a few values on the host. NaN is both the maximum and the minimum.
  [[nodiscard]] Pending all_reduce(std::span<double> values, ReduceOp reduce, Phase phase);
  [[nodiscard]] Pending all_reduce(std::span<std::int64_t> values, ReduceOp reduce, Phase phase);
  /// part = this rank's part of the sum of `whole` over the ranks, which is cut into size() equal parts. It
  /// is in place if `part` is that slice of `whole`; the other slices are then undefined. Otherwise the two
  /// must not overlap.
  [[nodiscard]] Pending reduce_scatter(const Tensor& whole, const Tensor& part, Phase phase);
  /// whole = the parts of all ranks in their order. It is in place if `part` is this rank's slice of `whole`.
  /// Otherwise the two must not overlap.
  [[nodiscard]] Pending all_gather(const Tensor& part, const Tensor& whole, Phase phase);
  /// The same for a few values on the host, such as counts of rows.
  [[nodiscard]] Pending all_gather(std::span<const std::int64_t> mine, std::span<std::int64_t> all,
                                   Phase phase);
  /// In place: every rank's data becomes the root's.
  [[nodiscard]] Pending broadcast(const Tensor& data, int root, Phase phase);
  /// The first send_rows[0] rows of send_RD go to rank 0, the next send_rows[1] to rank 1, and so on.
  /// receive_RD has the rows of rank 0 first. The counts add up to R on either side. Two ranks must agree on
  /// the count between them (else 76). The tensors must not overlap.
  [[nodiscard]] Pending all_to_all(const Tensor& send_RD, std::span<const std::int64_t> send_rows,
                                   const Tensor& receive_RD, std::span<const std::int64_t> receive_rows,
                                   Phase phase);
  /// all_RD on the root = the rows of all ranks in their order, `rows` of each. Other ranks give no all_RD
  /// and no rows.
  [[nodiscard]] Pending gather(const Tensor& mine_RD, const Tensor& all_RD,
                               std::span<const std::int64_t> rows, int root, Phase phase);
  [[nodiscard]] Pending barrier(Phase phase);

 protected:
  struct GroupPosition {
    std::string group;
    int rank = 0, size = 1;
    int world_rank = 0;
  };
  /// A group to be made: its name and color, this rank's place in it, and the seats that it comes from.
  struct Group {
    GroupPosition place;
    int color = 0;
    SeatOf seat_of;
  };
  Communicator(GroupPosition place, std::shared_ptr<Ledger> ledger);

  /// Starts a checked collective between host buffers. Returns what is left to do, or null.
  [[nodiscard]] virtual std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) = 0;
  /// Starts to compare a collective that a carrier runs, as start() would before data move. Ranks that
  /// differ end the job (76). The counts of rows are compared too.
  [[nodiscard]] virtual std::unique_ptr<Operation> compare(Collective collective, const Ticket& ticket);
  /// Starts a checked collective wherever its tensors are: those on a device go by the carrier, or through
  /// the host.
  [[nodiscard]] virtual std::unique_ptr<Operation> carry(Collective collective, const Ticket& ticket);
  /// All ranks of this communicator call it together, each for its own group.
  [[nodiscard]] virtual std::unique_ptr<Communicator> form(const Group& group) = 0;

  [[nodiscard]] Ticket next_ticket(const Collective& collective);
  [[nodiscard]] const std::shared_ptr<Ledger>& shared_ledger() const { return ledger_; }

 private:
  [[nodiscard]] Pending run(Collective collective);
  [[nodiscard]] Pending reduce_values(std::byte* values, std::int64_t count, DType dtype, ReduceOp reduce,
                                      Phase phase);
  [[nodiscard]] Collective of_tensors(CollectiveKind kind, const Tensor& input, const Tensor& output,
                                      Phase phase) const;

  GroupPosition place_;
  std::shared_ptr<Ledger> ledger_;
  std::int64_t sequence_ = 0;
  std::unique_ptr<TensorCarriage> carriage_;
};

/// A rank's part in a job: runs body. If it throws, aborts with the exit code and message of the exception.
void run_or_abort(Communicator& ranks, const std::function<void(Communicator&)>& body);

}  // namespace granule
