#include "distributed/communicators/thread_communicator.hpp"

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "distributed/communicators/rank_order.hpp"

namespace granule {
namespace {

/// What all thread ranks share. Its lock guards every group below.
struct ThreadJob {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Error> failure;

  /// Only the first failure counts for the job.
  [[noreturn]] void fail(const Error& error) {
    if (!failure) failure = error;
    changed.notify_all();
    throw Error(*failure);
  }
  void check() const {
    if (failure) throw Error(*failure);
  }
};

/// A collective that not all ranks have entered yet. The rank that enters last runs it for all. So it never
/// depends on a rank that waits for another one.
struct Meeting {
  explicit Meeting(int size) : parts(static_cast<std::size_t>(size)) {}
  std::vector<const Collective*> parts;  // null: not here yet
  Ticket first;
  int arrived = 0;
  bool running = false, done = false;
};

struct ThreadGroup {
  ThreadGroup(std::string called, int ranks) : name(std::move(called)), size(ranks) {
    left.resize(static_cast<std::size_t>(size));
  }
  std::string name;
  int size;
  std::map<std::int64_t, std::shared_ptr<Meeting>> meetings;  // by sequence
  std::vector<std::optional<Ticket>> left;  // the tickets of ranks whose communicator is gone
  std::map<std::pair<std::int64_t, int>, std::shared_ptr<ThreadGroup>> children;  // by sequence and color
};

class ThreadOperation final : public Operation {
 public:
  ThreadOperation(std::shared_ptr<ThreadJob> job, Collective collective)
      : job_(std::move(job)), collective_(std::move(collective)) {}
  [[nodiscard]] bool poll() override {
    const std::scoped_lock lock(job_->mutex);
    if (!meeting_->done && !meeting_->running) job_->check();
    return meeting_->done;
  }
  void wait() override {
    std::unique_lock lock(job_->mutex);
    // Do not leave before a running one has ended, because it uses this rank's buffers.
    job_->changed.wait(lock, [&] { return meeting_->done || (job_->failure && !meeting_->running); });
    if (!meeting_->done) job_->check();
  }
  [[nodiscard]] const Collective& collective() const { return collective_; }
  void enter(std::shared_ptr<Meeting> meeting) { meeting_ = std::move(meeting); }

 private:
  std::shared_ptr<ThreadJob> job_;
  Collective collective_;
  std::shared_ptr<Meeting> meeting_;
};

/// Describes rows that one rank sends and the other does not expect, if there are any.
std::optional<std::string> disagreement(std::span<const Collective* const> ranks) {
  const auto differ = [&](std::size_t sender, std::size_t receiver, std::int64_t sent,
                          std::int64_t expected) {
    return fmt::format("{} '{}': rank {} sends {} elements to rank {}, which expects {}",
                       name_of(ranks[0]->kind), ranks[0]->phase.name(), sender, sent, receiver, expected);
  };
  const auto root = static_cast<std::size_t>(ranks[0]->root);
  for (std::size_t sender = 0; sender < ranks.size(); ++sender) {
    if (ranks[0]->kind == CollectiveKind::gather &&
        ranks[sender]->count != ranks[root]->output_counts[sender]) {
      return differ(sender, root, ranks[sender]->count, ranks[root]->output_counts[sender]);
    }
    if (ranks[0]->kind != CollectiveKind::all_to_all) continue;
    for (std::size_t receiver = 0; receiver < ranks.size(); ++receiver) {
      const std::int64_t sent = ranks[sender]->input_counts[receiver];
      const std::int64_t expected = ranks[receiver]->output_counts[sender];
      if (sent != expected) return differ(sender, receiver, sent, expected);
    }
  }
  return std::nullopt;
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadJob> job, std::shared_ptr<ThreadGroup> group, GroupPosition place,
                     std::shared_ptr<Ledger> ledger)
      : Communicator(std::move(place), std::move(ledger)), job_(std::move(job)), group_(std::move(group)) {}
  ~ThreadCommunicator() override;
  ThreadCommunicator(const ThreadCommunicator&) = delete;
  ThreadCommunicator& operator=(const ThreadCommunicator&) = delete;

  [[noreturn]] void abort(ExitCode code, std::string_view message) override {
    const std::scoped_lock lock(job_->mutex);
    job_->fail(Error(code, fmt::format("rank {}: {}", world_rank(), message), "", ""));
  }

 private:
  [[nodiscard]] std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) override;
  [[nodiscard]] std::unique_ptr<Communicator> form(const Group& group) override;
  [[nodiscard]] std::shared_ptr<Meeting> meeting_of(const Ticket& ticket);
  void run(Meeting& meeting, std::unique_lock<std::mutex>& lock);

  std::shared_ptr<ThreadJob> job_;
  std::shared_ptr<ThreadGroup> group_;
};

ThreadCommunicator::~ThreadCommunicator() {
  if (std::uncaught_exceptions() > 0) return;  // the others should see the exception that ends this rank
  const std::scoped_lock lock(job_->mutex);
  const auto me = static_cast<std::size_t>(rank());
  group_->left[me] = next_ticket({.kind = CollectiveKind::leave, .phase = "leave"});
  for (const auto& [sequence, meeting] : group_->meetings) {
    if (meeting->parts[me] != nullptr || job_->failure) continue;
    job_->failure = out_of_step(*group_->left[me], meeting->first, group_->name);
    job_->changed.notify_all();
  }
}

/// The meeting for this ticket. Throws if other ranks have another ticket for it.
std::shared_ptr<Meeting> ThreadCommunicator::meeting_of(const Ticket& ticket) {
  for (const std::optional<Ticket>& gone : group_->left) {
    if (gone && gone->sequence <= ticket.sequence) job_->fail(out_of_step(*gone, ticket, group_->name));
  }
  std::shared_ptr<Meeting>& meeting = group_->meetings[ticket.sequence];
  if (meeting == nullptr) {
    meeting = std::make_shared<Meeting>(group_->size);
    meeting->first = ticket;
  }
  if (!same_collective(meeting->first, ticket)) {
    job_->fail(out_of_step(meeting->first, ticket, group_->name));
  }
  return meeting;
}

void ThreadCommunicator::run(Meeting& meeting, std::unique_lock<std::mutex>& lock) {
  if (const auto what = disagreement(meeting.parts)) {
    job_->fail(Error(ExitCode::out_of_step, *what, fmt::format("group '{}'", name()),
                     "exchange the row counts first"));
  }
  meeting.running = true;
  lock.unlock();
  run_together(meeting.parts);
  lock.lock();
  meeting.running = false;
  meeting.done = true;
  job_->changed.notify_all();
}

std::unique_ptr<Operation> ThreadCommunicator::start(Collective collective, const Ticket& ticket) {
  auto operation = std::make_unique<ThreadOperation>(job_, std::move(collective));
  std::unique_lock lock(job_->mutex);
  job_->check();
  const std::shared_ptr<Meeting> meeting = meeting_of(ticket);
  operation->enter(meeting);
  meeting->parts[static_cast<std::size_t>(rank())] = &operation->collective();
  if (++meeting->arrived < group_->size) return operation;
  group_->meetings.erase(ticket.sequence);
  run(*meeting, lock);
  return nullptr;
}

std::unique_ptr<Communicator> ThreadCommunicator::form(const Group& group) {
  const std::scoped_lock lock(job_->mutex);
  // All members have run the same number of collectives of the parent, so no other split has this number.
  const Ticket now = next_ticket({.kind = CollectiveKind::barrier, .phase = "split"});
  std::shared_ptr<ThreadGroup>& child = group_->children[{now.sequence, group.color}];
  if (child == nullptr) child = std::make_shared<ThreadGroup>(group.place.group, group.place.size);
  return std::make_unique<ThreadCommunicator>(job_, child, group.place, shared_ledger());
}

}  // namespace

void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  GRANULE_CHECK(ranks >= 1, "run_thread_ranks: {} ranks", ranks);
  const auto job = std::make_shared<ThreadJob>();
  const auto world = std::make_shared<ThreadGroup>("world", ranks);
  const auto run = [&](int rank) {
    ThreadCommunicator communicator(job, world,
                                    {.group = "world", .rank = rank, .size = ranks, .world_rank = rank},
                                    std::make_shared<Ledger>());
    try {
      run_or_abort(communicator, body);
    } catch (const Error&) {
      return;  // the job keeps its first failure
    }
  };
  std::vector<std::jthread> threads;
  for (int rank = 1; rank < ranks; ++rank) threads.emplace_back(run, rank);
  run(0);
  threads.clear();
  job->check();
}

}  // namespace granule
