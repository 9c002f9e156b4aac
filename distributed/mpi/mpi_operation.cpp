#include "distributed/mpi/mpi_operation.hpp"

#include <algorithm>

namespace granule {
namespace {

constexpr int kTicketTag = 0, kCountTag = 1;  // of messages between the same two ranks
constexpr int kTicketRequest = 1;             // among the requests of the first round
constexpr std::int64_t kTags = 32768;         // every MPI has at least this many

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
  link_.job->check(MPI_Irecv(&before_, sizeof(Ticket), MPI_BYTE, before, kTicketTag, link_.tickets,
                             &requests_[kTicketRequest]),
                   "MPI_Irecv", describe(mine_));
}

void MpiOperation::compare_tickets() const {
  if (same_collective(mine_, before_)) return;
  const Error error = out_of_step(before_, mine_, link_.group);
  link_.job->abort(error.code(), error.what());
}

bool MpiOperation::poll() {
  if (!done_) link_.job->advance();
  return done_;
}

void MpiOperation::wait() {
  wait_until([this] { return done_; });
}

void MpiOperation::advance() {
  while (!done_ && round_over()) {
    compared_ = true;
    requests_.clear();
    expected_.clear();
    done_ = !next_round();
  }
  if (done_) link_.job->remove(*this);
}

bool MpiOperation::round_over() {
  statuses_.resize(requests_.size());
  indices_.resize(requests_.size());
  for (;;) {
    // Some, not all: a message of wrong length is then found even if others never arrive.
    int ended = 0;
    const int result = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &ended,
                                    indices_.data(), statuses_.data());
    if (result != MPI_ERR_IN_STATUS) link_.job->check(result, "MPI_Testsome", describe(mine_));
    if (ended == MPI_UNDEFINED) return true;  // no request was left
    if (ended == 0) return false;
    link_.ledger->move();
    for (std::size_t i = 0; i < static_cast<std::size_t>(ended); ++i) {
      const int error = result == MPI_ERR_IN_STATUS ? statuses_[i].MPI_ERROR : MPI_SUCCESS;
      check_ended(expected_[static_cast<std::size_t>(indices_[i])], statuses_[i], error);
      // Not later: a rank that is out of step may send nothing else of this round.
      if (!compared_ && indices_[i] == kTicketRequest) compare_tickets();
    }
  }
}

/// Every message must have the size that this rank expects.
void MpiOperation::check_ended(const Expected& expected, const MPI_Status& status, int error) const {
  const bool longer = error == MPI_ERR_TRUNCATE;
  if (!longer) link_.job->check(error, "a message", describe(mine_));
  if (expected.elements < 0) return;
  int elements = 0;
  if (!longer) MPI_Get_count(&status, compared_ ? type() : MPI_BYTE, &elements);
  if (!longer && elements == expected.elements) return;
  abort_for_count(expected.peer, expected.elements, longer ? -1 : elements);
}

void MpiOperation::abort_for_count(int peer, std::int64_t expected, std::int64_t came) const {
  link_.job->abort(
      ExitCode::out_of_step,
      fmt::format("ranks out of step: {}, a message of {} elements was expected from rank {} "
                  "of group '{}', {} came: exchange the row counts first",
                  describe(mine_), expected, peer, link_.group, came < 0 ? "more" : fmt::format("{}", came)));
}

void MpiOperation::send_with_ticket(int peer, const void* from, std::size_t bytes) {
  expected_.push_back({peer, -1});
  link_.job->check(MPI_Isend(from, static_cast<int>(bytes), MPI_BYTE, peer, kCountTag, link_.tickets,
                             &requests_.emplace_back()),
                   "MPI_Isend", describe(mine_));
}

void MpiOperation::receive_with_ticket(int peer, void* to, std::size_t bytes) {
  expected_.push_back({peer, static_cast<std::int64_t>(bytes)});
  link_.job->check(MPI_Irecv(to, static_cast<int>(bytes), MPI_BYTE, peer, kCountTag, link_.tickets,
                             &requests_.emplace_back()),
                   "MPI_Irecv", describe(mine_));
}

int MpiOperation::tag() const {
  return static_cast<int>(mine_.sequence % kTags);
}

MPI_Datatype MpiOperation::type() const {
  switch (collective_.dtype) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::i32:
      return MPI_INT32_T;
    case DType::bf16:  // moved, never summed
      return MPI_UINT16_T;
    default:
      return MPI_INT64_T;
  }
}

// A message is sent in full pieces, followed by one shorter piece, which may be empty. The last piece is
// always shorter. So a sender and a receiver that disagree about the length always notice it: at least one
// piece has an unexpected size.
bool MpiOperation::send_piece(int peer, const std::byte* from, std::int64_t elements, std::int64_t begin,
                              std::int64_t largest) {
  if (begin > elements) return false;
  const auto count = static_cast<int>(std::min(elements - begin, largest));
  expected_.push_back({peer, -1});
  link_.job->check(MPI_Isend(from + collective_.bytes(begin), count, type(), peer, tag(), link_.data,
                             &requests_.emplace_back()),
                   "MPI_Isend", describe(mine_));
  return true;
}

bool MpiOperation::receive_piece(int peer, std::byte* to, std::int64_t elements, std::int64_t begin,
                                 std::int64_t largest) {
  if (begin > elements) return false;
  const std::int64_t count = std::min(elements - begin, largest);
  expected_.push_back({peer, count});
  link_.job->check(MPI_Irecv(to + collective_.bytes(begin), static_cast<int>(count), type(), peer, tag(),
                             link_.data, &requests_.emplace_back()),
                   "MPI_Irecv", describe(mine_));
  return true;
}

void MpiOperation::send(int peer, const std::byte* from, std::int64_t elements) {
  std::int64_t begin = 0;
  while (send_piece(peer, from, elements, begin, link_.largest_message)) begin += link_.largest_message;
}

void MpiOperation::receive(int peer, std::byte* to, std::int64_t elements) {
  std::int64_t begin = 0;
  while (receive_piece(peer, to, elements, begin, link_.largest_message)) begin += link_.largest_message;
}

}  // namespace granule
