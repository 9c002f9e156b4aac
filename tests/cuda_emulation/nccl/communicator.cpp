#include "tests/cuda_emulation/nccl/communicator.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/random_order.hpp"

namespace cuda_emulation::nccl {
namespace {

/// How many questions of the host an operation waits for. It is random and repeatable.
int next_delay() {
  static RandomOrder order;
  order.restart_if_new(settings().seed + 1);
  std::vector<int> delays{0, 1, 2};
  order.shuffle(delays);
  return delays.front();
}

std::uint64_t operations_of_process = 0;

}  // namespace

const Play& play() {
  static const Play read = [] {
    Play found;
    const char* const words = std::getenv("GRANULE_EMULATED_NCCL");
    if (words == nullptr) return found;
    if (const char* const at = std::strstr(words, "fail="))
      found.fail_at = std::strtoull(at + 5, nullptr, 10);
    found.never_connects = std::strstr(words, "never-connect") != nullptr;
    found.tells = std::strstr(words, "tell") != nullptr;
    found.compares = std::strstr(words, "compare-nothing") == nullptr;
    return found;
  }();
  return read;
}

Group::Group(std::unique_ptr<SharedBoard> board, int rank, int size, bool blocking)
    : board_(std::move(board)), rank_(rank), size_(size), blocking_(blocking) {
  Seat& mine = (*board_)->seats.at(static_cast<std::size_t>(rank));
  mine.device = current_device();
  mine.there = true;
}

Pipe& Group::pipe(int from, int to) const {
  return (*board_)->pipes.at(static_cast<std::size_t>(from)).at(static_cast<std::size_t>(to));
}

bool Group::connect() {
  if (play().never_connects) return false;
  std::set<int> devices;
  for (int rank = 0; rank < size_; ++rank) {
    const Seat& seat = (*board_)->seats.at(static_cast<std::size_t>(rank));
    if (!seat.there) return false;
    devices.insert(seat.device);
  }
  // NCCL refuses two ranks on one device.
  if (static_cast<int>(devices.size()) < size_) error_ = ncclInvalidUsage;
  return true;
}

ncclResult_t Group::advance() {
  make_progress();
  if (aborted_) return ncclSuccess;
  if (!connected_) connected_ = connect();
  if (error_ != ncclSuccess) return error_;
  if (!connected_) return ncclInProgress;
  if (split_ && !go_on_with_split()) return ncclInProgress;
  if (!launches_.empty() && --delay_ <= 0) {
    for (const Launch& launch : launches_) enqueue(launch);
    launches_.clear();
  }
  if (!launches_.empty()) return ncclInProgress;
  if (!finalizing_) return ncclSuccess;
  for (int rank = 0; rank < size_; ++rank) {
    if (!(*board_)->seats.at(static_cast<std::size_t>(rank)).finalized) return ncclInProgress;
  }
  return ended_ == issued_ ? ncclSuccess : ncclInProgress;
}

void Group::advance_until_done() {
  while (advance() == ncclInProgress) std::this_thread::yield();
}

void Group::require_ready() const {
  if (!connected_) fail("NCCL: a call on a communicator whose ranks have not found each other yet");
  if (!launches_.empty() || split_) fail("NCCL: a call before the last one is done");
  if (finalizing_) fail("NCCL: a call on a communicator that was finalised");
}

void Group::launch(cudaStream_t stream, std::shared_ptr<Transfers> operation) {
  if (++operations_of_process == play().fail_at) failing_turn_ = issued_ + launches_.size();
  const Launch launch{stream, std::move(operation)};
  if (blocking_) return enqueue(launch);
  launches_.push_back(launch);
  delay_ = next_delay();
}

void Group::enqueue(const Launch& launch) {
  const std::uint64_t turn = issued_++;
  submit(launch.stream, {.run = [] {},
                         .may_start = [group = shared_from_this(), operation = launch.operation,
                                       turn] { return group->run(turn, *operation); },
                         .needs_others = true,
                         .touches_memory = false,
                         .name = launch.operation->name()});
}

bool Group::run(std::uint64_t turn, Transfers& operation) {
  if (!aborted_) {
    if (failing_turn_ == turn) error_ = ncclRemoteError;
    if (ended_ != turn || error_ != ncclSuccess || !operation.advance(*this)) return false;
  }
  ++ended_;
  return true;
}

void Group::split(int color, int key, bool blocking, ncclComm_t* made) {
  require_ready();
  if (ended_ != issued_) fail("NCCL: a split while operations of the communicator are under way");
  SplitEntry& mine = (*board_)->seats.at(static_cast<std::size_t>(rank_)).splits.at(splits_);
  mine.color = color;
  mine.key = key;
  mine.there = true;
  *made = nullptr;
  split_ = Split{splits_++, blocking, made};
}

bool Group::go_on_with_split() {
  const auto entry_of = [&](int rank) -> SplitEntry& {
    return (*board_)->seats.at(static_cast<std::size_t>(rank)).splits.at(split_->number);
  };
  const SplitEntry& mine = entry_of(rank_);
  std::set<std::pair<int, int>> members;  // key and rank
  for (int rank = 0; rank < size_; ++rank) {
    if (!entry_of(rank).there) return false;
    if (entry_of(rank).color == mine.color) members.emplace(entry_of(rank).key, rank);
  }
  if (mine.color == NCCL_SPLIT_NOCOLOR) {
    split_.reset();
    return true;
  }
  const int first = members.begin()->second;
  SplitEntry& maker = entry_of(first);
  std::unique_ptr<SharedBoard> child;
  if (first == rank_) {
    child = std::make_unique<SharedBoard>();
    maker.child = child->name();
    maker.made = true;
  } else if (!maker.made) {
    return false;
  } else {
    child = std::make_unique<SharedBoard>(maker.child);
  }
  const auto place = std::distance(members.begin(), members.find({mine.key, rank_}));
  *split_->made = new ncclComm{std::make_shared<Group>(std::move(child), static_cast<int>(place),
                                                       static_cast<int>(members.size()), split_->blocking)};
  split_.reset();
  return true;
}

void Group::finalize() {
  require_ready();
  finalizing_ = true;
  (*board_)->seats.at(static_cast<std::size_t>(rank_)).finalized = true;
}

}  // namespace cuda_emulation::nccl
