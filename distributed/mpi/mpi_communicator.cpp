#include "distributed/mpi/mpi_communicator.hpp"

#include <exception>

#include "distributed/mpi/mpi_operation.hpp"

namespace granule {
namespace {

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MpiLink link, GroupPosition place, std::shared_ptr<Ledger> ledger)
      : Communicator(std::move(place), std::move(ledger)), link_(std::move(link)) {}
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  [[nodiscard]] Carriages* carriages() override { return &link_.job->carriages(); }
  [[noreturn]] void abort(ExitCode code, std::string_view message) override {
    link_.job->abort(code, message);
  }

 private:
  [[nodiscard]] std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) override {
    return start_mpi_operation(link_, std::move(collective), ticket);
  }
  [[nodiscard]] std::unique_ptr<Operation> compare(Collective collective, const Ticket& ticket) override {
    return start_mpi_comparison(link_, std::move(collective), ticket);
  }
  [[nodiscard]] std::unique_ptr<Communicator> form(const Group& group) override;
  /// Every communicator of the job but this one has gone.
  [[nodiscard]] bool is_last() const { return link_.signs.use_count() == 1; }

  MpiLink link_;
};

/// The link to the ranks of `data`, which it takes over.
MpiLink link_over(const std::shared_ptr<MpiJob>& job, const std::shared_ptr<Ledger>& ledger,
                  const std::shared_ptr<MpiSigns>& signs, MPI_Comm data, std::string_view group,
                  std::int64_t largest_message) {
  MpiLink link{.job = job,
               .ledger = ledger,
               .signs = signs,
               .data = data,
               .group = std::string(group),
               .largest_message = largest_message};
  job->check(MPI_Comm_dup(data, &link.tickets), "MPI_Comm_dup", group);
  job->check(MPI_Comm_rank(data, &link.rank), "MPI_Comm_rank", group);
  job->check(MPI_Comm_size(data, &link.size), "MPI_Comm_size", group);
  return link;
}

MpiCommunicator::~MpiCommunicator() {
  if (std::uncaught_exceptions() > 0 && link_.size > 1) {
    carry_tensors_by(nullptr);  // its comparisons need the link
    // Others wait for this rank. Waiting for all ranks here, or finalising MPI, would hang for ever. Code
    // that catches the exception ends the job with it, as run_job does. If nobody did, the last communicator
    // must.
    if (is_last()) link_.job->abort(ExitCode::failure, "left by an exception");
    return;
  }
  const Collective leave{.kind = CollectiveKind::leave, .phase = "leave"};
  // The watchdog has ended before the last communicator, and MPI_Finalize comes after it.
  std::unique_ptr<WaitGuard> guard;
  if (is_last()) {
    link_.job->set_end_seconds(ledger().still_seconds());
    guard = link_.job->guard("the last collective");
  }
  // This finds a rank that leaves while another one still waits in a collective.
  start_mpi_operation(link_, leave, next_ticket(leave))->wait();
  carry_tensors_by(nullptr);  // no sooner: a carrier may wait for all ranks when it ends
  if (is_last()) link_.signs->close();
  MPI_Comm_free(&link_.tickets);
  MPI_Comm_free(&link_.data);
}

std::unique_ptr<Communicator> MpiCommunicator::form(const Group& group) {
  MPI_Comm data = MPI_COMM_NULL;
  link_.job->check(MPI_Comm_split(link_.data, group.color, group.place.rank, &data), "MPI_Comm_split",
                   group.place.group);
  MpiLink link =
      link_over(link_.job, link_.ledger, link_.signs, data, group.place.group, link_.largest_message);
  GRANULE_ASSERT(link.rank == group.place.rank && link.size == group.place.size, "rank {} of {}", link.rank,
                 link.size);
  return std::make_unique<MpiCommunicator>(std::move(link), group.place, shared_ledger());
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(const MpiOptions& options) {
  GRANULE_CHECK(options.largest_message >= 1 && options.largest_message <= INT32_MAX,
                "messages of {} elements", options.largest_message);
  const auto job = std::make_shared<MpiJob>();
  const auto ledger = std::make_shared<Ledger>();
  const auto guard = MpiJob::guard_of_start("MPI_Comm_dup");
  MPI_Comm data = MPI_COMM_NULL;
  job->check(MPI_Comm_dup(MPI_COMM_WORLD, &data), "MPI_Comm_dup", "world");
  const auto signs = std::make_shared<MpiSigns>(job, ledger, data);
  MpiLink link = link_over(job, ledger, signs, data, "world", options.largest_message);
  const int rank = link.rank, size = link.size;
  return std::unique_ptr<Communicator>(new MpiCommunicator(
      std::move(link), {.group = "world", .rank = rank, .size = size, .world_rank = rank}, ledger));
}

}  // namespace granule
