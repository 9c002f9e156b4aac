#include "apps/sweep/running/sweep_groups.hpp"

#include <algorithm>
#include <numeric>

#include "apps/jobs/training_job.hpp"
#include "apps/program/console.hpp"
#include "apps/sweep/running/run_cell.hpp"
#include "core/interruption.hpp"
#include "distributed/agreement.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

/// How a cell ended, as ranks of other groups learn of it.
enum class End : std::int64_t { not_run, ran, stopped, failed };

/// Trains a cell on this group. Returns the signal that stopped it, or 0.
int train_cell(Communicator& group, const Cell& cell, const fs::path& sweep, StopSignals& signals) {
  agree(group, [&] {
    if (group.rank() == 0) prepare_cell(sweep, cell);
  });
  TrainArguments arguments;
  arguments.out = run_of(sweep, cell);
  arguments.resume = arguments.digests = true;
  try {
    return train_together(group, signals, arguments).stopped;
  } catch (const Interrupted& set_up) {
    return set_up.signal;
  }
}

class Groups {
 public:
  Groups(Communicator& world, const SweepPlan& plan, const fs::path& sweep, int groups, StopSignals& signals)
      : world_(world), plan_(plan), sweep_(sweep), groups_(groups), signals_(signals), now_(plan.found) {}

  SweepOutcome run() {
    const int size = world_.size() / groups_;
    const int mine = world_.rank() / size;
    const auto group = world_.split([&](int rank) { return Communicator::Seat{rank / size, rank}; }, "cell");
    std::vector<std::int64_t> ends(now_.size(), static_cast<std::int64_t>(End::not_run));
    const auto shares = shares_of(plan_, groups_);
    for (const std::size_t index : shares[static_cast<std::size_t>(mine)]) {
      if (stopped_ != 0) break;
      ends[index] = static_cast<std::int64_t>(run_one(*group, index));
    }
    return outcome(ends);
  }

 private:
  End run_one(Communicator& group, std::size_t index) {
    const Cell& cell = plan_.cells.all[index];
    try {
      stopped_ = train_cell(group, cell, sweep_, signals_);
      return stopped_ == 0 ? End::ran : End::stopped;
    } catch (const AgreedError& error) {
      if (group.rank() == 0) say_error(fmt::format("{}: {}", cell.name, error.what()));
      return End::failed;
    } catch (const Error& error) {
      if (group.size() > 1) throw;  // other ranks of the group do not know of it
      say_error(fmt::format("{}: {}", cell.name, error.what()));
      return End::failed;
    }
  }

  /// Every rank learns how all cells ended.
  SweepOutcome outcome(std::vector<std::int64_t>& ends) {
    auto stopped = static_cast<std::int64_t>(stopped_);
    world_.all_reduce(std::span(ends), ReduceOp::max, "sweep").wait();
    world_.all_reduce(std::span(&stopped, 1), ReduceOp::max, "sweep").wait();
    SweepOutcome all{.cells = now_, .stopped = static_cast<int>(stopped)};
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const auto end = static_cast<End>(ends[i]);
      if (end == End::not_run) continue;
      const Cell& cell = plan_.cells.all[i];
      all.cells[i] = end == End::ran ? status_after_success(sweep_, cell) : status_on_disk(sweep_, cell);
      if (end != End::failed) continue;
      all.cells[i].state = CellState::failed;
      all.cells[i].exit_code = static_cast<int>(ExitCode::failure);
      all.cells[i].error = last_error_in(run_of(sweep_, cell) / "log.txt");
    }
    return all;
  }

  Communicator& world_;
  const SweepPlan& plan_;
  const fs::path& sweep_;
  int groups_;
  StopSignals& signals_;
  std::vector<CellStatus> now_;
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
