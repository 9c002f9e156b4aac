// Collectives made of point-to-point messages, which polling advances. MPI's own collectives are not used,
// because here every sum must run in rank order on all ranks, whole or scattered, as thread ranks add.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <mpi.h>

#include "distributed/communicators/collective.hpp"
#include "distributed/communicators/ledger.hpp"
#include "distributed/communicators/pending.hpp"
#include "distributed/mpi/mpi_job.hpp"
#include "distributed/mpi/mpi_signs.hpp"

namespace granule {

/// How a group reaches its ranks. Tickets have their own communicator, so that they are never taken for data.
struct MpiLink {
  std::shared_ptr<MpiJob> job;
  std::shared_ptr<Ledger> ledger;
  std::shared_ptr<MpiSigns> signs;
  MPI_Comm data = MPI_COMM_NULL;
  MPI_Comm tickets = MPI_COMM_NULL;
  int rank = 0, size = 1;
  std::string group;
  std::int64_t largest_message = 0;  ///< elements
};

/// A sequence of rounds of messages. In the first one each rank compares tickets with the rank before it in
/// the ring. Data move only after that, so a rank that is out of step ends the job (76) before data mix.
/// Every message that has arrived or left is progress of the rank, so a rank that waits on a slow network
/// does not hang.
class MpiOperation : public Operation {
 public:
  MpiOperation(const MpiLink& link, Collective collective, const Ticket& ticket);
  ~MpiOperation() override { link_.job->remove(*this); }
  MpiOperation(const MpiOperation&) = delete;
  MpiOperation& operator=(const MpiOperation&) = delete;

  [[nodiscard]] bool poll() override;
  void wait() override;
  /// Starts the next round if the messages of this one have arrived.
  void advance();

 protected:
  /// Posts the messages of the next round. False if there is none and the collective has ended.
  [[nodiscard]] virtual bool next_round() = 0;
  /// Sends pieces of at most largest_message elements. The last piece is shorter, so that a receiver finds
  /// every message that is not as long as it expects.
  void send(int peer, const std::byte* from, std::int64_t elements);
  void receive(int peer, std::byte* to, std::int64_t elements);
  /// Sends one such piece, of at most `largest` elements from `begin` on. False if all were sent before.
  [[nodiscard]] bool send_piece(int peer, const std::byte* from, std::int64_t elements, std::int64_t begin,
                                std::int64_t largest);
  [[nodiscard]] bool receive_piece(int peer, std::byte* to, std::int64_t elements, std::int64_t begin,
                                   std::int64_t largest);
  /// The same of a few bytes beside the tickets, before the first round. They must be `bytes` at both ends.
  void send_with_ticket(int peer, const void* from, std::size_t bytes);
  void receive_with_ticket(int peer, void* to, std::size_t bytes);
  /// Ends the job, because a peer sends other counts than this rank expects. -1: it sends more.
  [[noreturn]] void abort_for_count(int peer, std::int64_t expected, std::int64_t came) const;
  [[nodiscard]] const MpiLink& link() const { return link_; }
  [[nodiscard]] const Collective& collective() const { return collective_; }

 private:
  struct Expected {
    int peer;
    std::int64_t elements;  // -1: a message that was sent
  };
  void exchange_tickets();
  void compare_tickets() const;
  [[nodiscard]] bool round_over();
  void check_ended(const Expected& expected, const MPI_Status& status, int error) const;
  [[nodiscard]] MPI_Datatype type() const;
  [[nodiscard]] int tag() const;

  const MpiLink& link_;
  Collective collective_;
  Ticket mine_, before_;  // this rank's ticket, and that of the rank before it
  bool compared_ = false, done_ = false;
  std::vector<MPI_Request> requests_;
  std::vector<Expected> expected_;    // what each request must bring
  std::vector<int> indices_;          // which requests have ended
  std::vector<MPI_Status> statuses_;  // of the requests that have ended
};

/// Starts an operation that moves no data: it compares the tickets, and what each rank will send to others
/// with what they expect.
[[nodiscard]] std::unique_ptr<MpiOperation> start_mpi_comparison(const MpiLink& link, Collective collective,
                                                                 const Ticket& ticket);

/// Starts the operation that this collective needs.
[[nodiscard]] std::unique_ptr<MpiOperation> start_mpi_operation(const MpiLink& link, Collective collective,
                                                                const Ticket& ticket);

}  // namespace granule
