#include "distributed/mpi/mpi_operation.hpp"

#include <algorithm>
#include <thread>

namespace granule {
namespace {

constexpr int kTicketTag = 0;
constexpr std::int64_t kTags = 32768;  // the number that every MPI has

}  // namespace

MpiOperation::MpiOperation(const MpiLink& link, Collective collective, const Ticket& ticket)
    : link_(link), collective_(std::move(collective)), mine_(ticket) {
  exchange_tickets();
  link_.job->add(*this);
}

void MpiOperation::exchange_tickets() {
  const int after = (link_.rank + 1) % link_.size;
  const int before = (link_.rank + link_.size - 1) % link_.size;
  requests_.resize(2);
  expected_ = {{after, -1}, {before, static_cast<std::int64_t>(sizeof(Ticket))}};
  link_.job->check(
      MPI_Isend(&mine_, sizeof(Ticket), MPI_BYTE, after, kTicketTag, link_.tickets, &requests_[0]),
      "MPI_Isend", describe(mine_));
  link_.job->check(
      MPI_Irecv(&before_, sizeof(Ticket), MPI_BYTE, before, kTicketTag, link_.tickets, &requests_[1]),
      "MPI_Irecv", describe(mine_));
}

bool MpiOperation::poll() {
  if (!done_) link_.job->progress();
  return done_;
}

void MpiOperation::wait() {
  while (!poll()) std::this_thread::yield();  // other ranks may share the core
}

void MpiOperation::advance() {
  while (!done_ && round_over()) {
    if (!compared_ && !same_collective(mine_, before_)) {
      const Error error = out_of_step(before_, mine_, link_.group);
      link_.job->abort(error.code(), error.what());
    }
    compared_ = true;
    requests_.clear();
    expected_.clear();
    done_ = !next_round();
  }
  if (done_) link_.job->remove(*this);
}

bool MpiOperation::round_over() {
  if (requests_.empty()) return true;
  int over = 0;
  statuses_.resize(requests_.size());
  const int result =
      MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &over, statuses_.data());
  if (result != MPI_SUCCESS && result != MPI_ERR_IN_STATUS) {
    link_.job->check(result, "MPI_Testall", describe(mine_));
  }
  if (over != 0 || result == MPI_ERR_IN_STATUS) check_arrivals(result);
  return over != 0;
}

/// Every message has the size that this rank expects of it.
void MpiOperation::check_arrivals(int result) const {
  const bool failed = result == MPI_ERR_IN_STATUS;
  for (std::size_t i = 0; i < statuses_.size(); ++i) {
    const bool longer = failed && statuses_[i].MPI_ERROR == MPI_ERR_TRUNCATE;
    if (failed && !longer) {
      if (statuses_[i].MPI_ERROR == MPI_ERR_PENDING) continue;
      link_.job->check(statuses_[i].MPI_ERROR, "a message", describe(mine_));
    }
    if (expected_[i].elements < 0) continue;
    int elements = 0;
    if (!longer) MPI_Get_count(&statuses_[i], compared_ ? type() : MPI_BYTE, &elements);
    if (!longer && elements == expected_[i].elements) continue;
    link_.job->abort(ExitCode::out_of_step,
                     fmt::format("ranks out of step: {}, a message of {} elements was expected from rank {} "
                                 "of group '{}', {} came: exchange the row counts first",
                                 describe(mine_), expected_[i].elements, expected_[i].peer, link_.group,
                                 longer ? "more" : fmt::format("{}", elements)));
  }
}

MPI_Datatype MpiOperation::type() const {
  switch (collective_.dtype) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::i32:
      return MPI_INT32_T;
    default:
      return MPI_INT64_T;
  }
}

void MpiOperation::send(int peer, const std::byte* from, std::int64_t elements) {
  const int tag = static_cast<int>(mine_.sequence % kTags);
  std::int64_t begin = 0;
  do {
    const std::int64_t count = std::min(elements - begin, link_.largest_message);
    expected_.push_back({peer, -1});
    link_.job->check(MPI_Isend(from + collective_.bytes(begin), static_cast<int>(count), type(), peer, tag,
                               link_.data, &requests_.emplace_back()),
                     "MPI_Isend", describe(mine_));
    begin += count;
  } while (begin < elements);
}

void MpiOperation::receive(int peer, std::byte* to, std::int64_t elements) {
  const int tag = static_cast<int>(mine_.sequence % kTags);
  std::int64_t begin = 0;
  do {
    const std::int64_t count = std::min(elements - begin, link_.largest_message);
    expected_.push_back({peer, count});
    link_.job->check(MPI_Irecv(to + collective_.bytes(begin), static_cast<int>(count), type(), peer, tag,
                               link_.data, &requests_.emplace_back()),
                     "MPI_Irecv", describe(mine_));
    begin += count;
  } while (begin < elements);
}

}  // namespace granule
