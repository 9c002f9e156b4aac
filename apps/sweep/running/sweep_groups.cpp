#include "apps/sweep/running/sweep_groups.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>

#include "apps/jobs/training_job.hpp"
#include "apps/program/console.hpp"
#include "apps/sweep/running/run_cell.hpp"
#include "core/interruption.hpp"
#include "distributed/agreement.hpp"
#include "distributed/hosts.hpp"
#include "distributed/mpi/launcher.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

/// How a cell ended, as ranks of other groups learn of it. A failure is its exit code.
constexpr std::int64_t kNotRun = 0, kRan = -1, kStopped = -2;

class Groups {
 public:
  Groups(Communicator& world, const SweepPlan& plan, const fs::path& sweep, int groups, StopSignals& signals)
      : world_(world),
        plan_(plan),
        sweep_(sweep),
        groups_(groups),
        signals_(signals),
        sharers_(ranks_on_these_cores(world)),
        place_on_host_(Hosts(world).place_on_host()) {}

  SweepOutcome run() {
    signals_.enter(StopSignals::Activity::sweep, 0);
    stopped_ = signals_.stop();
    const int size = world_.size() / groups_;
    const int mine = world_.rank() / size;
    const auto group = world_.split([&](int rank) { return Communicator::Seat{rank / size, rank}; }, "cell");
    std::vector<std::int64_t> ends(plan_.found.size(), kNotRun);
    const auto shares = shares_of(plan_, groups_);
    for (const std::size_t index : shares[static_cast<std::size_t>(mine)]) {
      // A signal to a job reaches all of its ranks, and each group stops at it.
      if (stopped_ != 0) break;
      ends[index] = run_one(*group, plan_.cells.all[index]);
      if (group->rank() == 0) say_end(index, ends[index]);
      if (world_.rank() == 0) write_record(sweep_, plan_, states_on_disk());
    }
    return outcome(ends);
  }

 private:
  /// Trains a cell on this group. Returns the signal that stopped it, or 0.
  int train(Communicator& group, const Cell& cell) {
    agree(group, [&] {
      if (group.rank() == 0) prepare_cell(sweep_, cell);
    });
    TrainArguments arguments;
    arguments.out = run_of(sweep_, cell);
    arguments.resume = arguments.digests = true;
    arguments.place_on_host = place_on_host_;
    // The cores are shared with the ranks of other groups too.
    if (cell.config.train.threads == 0)
      arguments.overrides.push_back(fmt::format("train.threads={}", thread_count(cell.config, sharers_)));
    try {
      return train_together(group, signals_, arguments).stopped;
    } catch (const Interrupted& set_up) {
      return set_up.signal;
    }
  }

  std::int64_t run_one(Communicator& group, const Cell& cell) {
    try {
      stopped_ = train(group, cell);
      return stopped_ == 0 ? kRan : kStopped;
    } catch (const AgreedError& error) {
      return failure_of(group, cell, error);
    } catch (const Error& error) {
      if (group.size() > 1) throw;  // other ranks of the group do not know of it
      return failure_of(group, cell, error);
    }
  }

  std::int64_t failure_of(const Communicator& group, const Cell& cell, const Error& error) {
    if (group.rank() == 0) std::ofstream(log_of(sweep_, cell)) << "granule: error: " << error.what() << '\n';
    return static_cast<std::int64_t>(error.code());
  }

  [[nodiscard]] CellStatus status_of(std::size_t index, std::int64_t end) const {
    const Cell& cell = plan_.cells.all[index];
    if (end == kNotRun) return plan_.found[index];
    if (end == kRan) return status_after_success(sweep_, cell);
    CellStatus status = status_on_disk(sweep_, cell);
    if (end == kStopped) return status;
    return {.state = CellState::failed,
            .exit_code = static_cast<int>(end),
            .error = last_error_in(log_of(sweep_, cell))};
  }

  void say_end(std::size_t index, std::int64_t end) const {
    say("{}", end_text(sweep_, plan_.cells.all[index], status_of(index, end)));
  }

  /// What is known before all groups have told how their cells ended.
  [[nodiscard]] std::vector<CellStatus> states_on_disk() const {
    std::vector<CellStatus> states;
    for (const Cell& cell : plan_.cells.all) states.push_back(status_on_disk(sweep_, cell));
    return states;
  }

  /// Every rank learns how all cells ended. Exactly one group has run each.
  SweepOutcome outcome(std::vector<std::int64_t>& ends) {
    for (std::int64_t& end : ends) end = world_.rank() % (world_.size() / groups_) == 0 ? end : kNotRun;
    auto stopped = static_cast<std::int64_t>(stopped_);
    world_.ledger().begin_step(0);  // groups have ended at different steps
    world_.all_reduce(std::span(ends), ReduceOp::sum, "sweep").wait();
    world_.all_reduce(std::span(&stopped, 1), ReduceOp::max, "sweep").wait();
    SweepOutcome all{.cells = {}, .stopped = static_cast<int>(stopped)};
    for (std::size_t i = 0; i < ends.size(); ++i) all.cells.push_back(status_of(i, ends[i]));
    return all;
  }

  Communicator& world_;
  const SweepPlan& plan_;
  const fs::path& sweep_;
  int groups_;
  StopSignals& signals_;
  std::int64_t sharers_;
  int place_on_host_;
  int stopped_ = 0;
};

}  // namespace

std::vector<std::vector<std::size_t>> shares_of(const SweepPlan& plan, int groups) {
  std::vector<std::size_t> order(plan.cells.all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return plan.found[i].complete(); });
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return plan.seconds[i]; });
  std::vector<std::vector<std::size_t>> shares(static_cast<std::size_t>(groups));
  std::vector<double> seconds(shares.size());
  for (const std::size_t index : order) {
    const auto least = std::ranges::min_element(seconds) - seconds.begin();
    shares[static_cast<std::size_t>(least)].push_back(index);
    seconds[static_cast<std::size_t>(least)] += plan.seconds[index];
  }
  return shares;
}

SweepOutcome run_on_groups(Communicator& world, const SweepPlan& plan, const fs::path& sweep, int groups,
                           StopSignals& signals) {
  return Groups(world, plan, sweep, groups, signals).run();
}

}  // namespace granule
