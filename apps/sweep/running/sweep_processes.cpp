#include "apps/sweep/running/sweep_processes.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <memory>
#include <thread>

#include <nlohmann/json.hpp>

#include "apps/program/progress.hpp"
#include "apps/records/metrics_file.hpp"
#include "apps/records/pace.hpp"
#include "apps/sweep/running/cell_process.hpp"
#include "apps/sweep/running/run_cell.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPoll{20};
constexpr int kSignalEnd = 128;           // CellProcess adds the number of the signal to it
constexpr std::chrono::seconds kLook{1};  // how often the records of running cells are read

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string end_without_message(int code, const fs::path& log) {
  if (code == kSignalEnd + SIGKILL) return "it was killed (SIGKILL), as by a system that is out of memory";
  if (code > kSignalEnd) return fmt::format("it was killed by signal {}", code - kSignalEnd);
  return fmt::format("it ended without a message; its log is {}", log.string());
}

class Processes {
 public:
  Processes(const SweepPlan& plan, const fs::path& sweep, int jobs, StopSignals& signals)
      : plan_(plan),
        sweep_(sweep),
        jobs_(static_cast<std::size_t>(jobs)),
        signals_(signals),
        now_(plan.found) {
    for (std::size_t i = 0; i < now_.size(); ++i) {
      if (!now_[i].complete()) waiting_.push_back(i);
    }
  }

  SweepOutcome run() {
    signals_.enter(StopSignals::Activity::sweep, 0);
    stopped_ = signals_.stop();
    while (!running_.empty() || (!waiting_.empty() && stopped_ == 0)) {
      while (running_.size() < jobs_ && !waiting_.empty() && stopped_ == 0) begin_next();
      std::this_thread::sleep_for(kPoll);
      end_those_that_ended();
      pass_signals_on();
      show();
    }
    return {.cells = now_, .stopped = stopped_};
  }

 private:
  struct Running {
    std::size_t cell;
    std::unique_ptr<CellProcess> process;
    std::int64_t first_step;
    Clock::time_point start = Clock::now();
  };

  void begin_next() {
    const std::size_t index = waiting_.front();
    waiting_.pop_front();
    try {
      begin(index);
      now_[index] = {.state = CellState::running};
    } catch (const Error& error) {
      now_[index] = {
          .state = CellState::failed, .exit_code = static_cast<int>(error.code()), .error = error.what()};
      say_end(index);
    }
    write_record(sweep_, plan_, now_);
  }

  void begin(std::size_t index) {
    const Cell& cell = plan_.cells.all[index];
    prepare_cell(sweep_, cell);
    std::vector<std::string> arguments{"train", run_of(sweep_, cell).string(), "--resume", "--digests"};
    if (cell.config.train.threads == 0) {
      const auto share = static_cast<std::size_t>(available_cores()) / jobs_;
      arguments.push_back(fmt::format("train.threads={}", std::max<std::size_t>(share, 1)));
    }
    running_.push_back(
        {index, std::make_unique<CellProcess>(arguments, log_of(sweep_, cell)), step_of(index)});
  }

  void end_those_that_ended() {
    for (auto one = running_.begin(); one != running_.end();) {
      const std::optional<int> code = one->process->exit_code();
      if (!code) {
        ++one;
        continue;
      }
      end(one->cell, *code);
      measured_ += seconds_since(one->start);
      predicted_ += plan_.seconds[one->cell];
      one = running_.erase(one);
    }
  }

  void end(std::size_t index, int code) {
    const Cell& cell = plan_.cells.all[index];
    const bool by_itself = code == 0 && stopped_ == 0;
    CellStatus status = by_itself ? status_after_success(sweep_, cell) : status_on_disk(sweep_, cell);
    if (!status.complete()) {
      const bool was_stopped = code == 0 || code == kSignalEnd + stopped_;
      status.exit_code = code;
      status.state = was_stopped ? CellState::stopped : CellState::failed;
    }
    if (status.state == CellState::failed) {
      status.error = last_error_in(log_of(sweep_, cell));
      if (status.error.empty()) status.error = end_without_message(code, log_of(sweep_, cell));
    }
    now_[index] = status;
    write_record(sweep_, plan_, now_);
    say_end(index);
  }

  void say_end(std::size_t index) {
    progress_.say(fmt::format("{} ({} of {} cells have ended)",
                              end_text(sweep_, plan_.cells.all[index], now_[index]), ++ended_ + before(),
                              now_.size()));
  }

  void pass_signals_on() {
    const SignalRequest request = signals_.take();
    if (request.save)
      for (const Running& one : running_) one.process->send(SIGUSR1);
    if (request.stop == 0 || stopped_ != 0) return;
    stopped_ = request.stop;
    for (const Running& one : running_) one.process->send(stopped_);
  }

  [[nodiscard]] std::size_t before() const {
    return static_cast<std::size_t>(std::ranges::count_if(plan_.found, &CellStatus::complete));
  }

  [[nodiscard]] std::int64_t step_of(std::size_t index) const {
    const auto row = RowsFromEnd(run_of(sweep_, plan_.cells.all[index]) / "metrics.jsonl").next();
    return row ? row->value("step", std::int64_t{0}) : 0;
  }

  /// The share of its steps that a running cell has done since it began here.
  [[nodiscard]] double share_done(const Running& one, std::int64_t step) const {
    const std::int64_t steps = plan_.cells.all[one.cell].steps - one.first_step;
    return steps <= 0 ? 1.0 : static_cast<double>(step - one.first_step) / static_cast<double>(steps);
  }

  /// What is predicted of the cells that have not ended, at the pace of what is done. Before that is known,
  /// cells at once share the machine for which they are predicted.
  [[nodiscard]] double seconds_left(const std::vector<double>& shares) const {
    double measured = measured_, predicted = predicted_, left = 0.0;
    for (const std::size_t index : waiting_) left += plan_.seconds[index];
    for (std::size_t i = 0; i < running_.size(); ++i) {
      const double whole = plan_.seconds[running_[i].cell];
      measured += seconds_since(running_[i].start);
      predicted += whole * shares[i];
      left += whole * (1.0 - shares[i]);
    }
    const auto sharers = static_cast<double>(std::max<std::size_t>(running_.size(), 1));
    const double pace = predicted > 0.0 ? measured / predicted : sharers;
    return left * pace / sharers;
  }

  void show() {
    if (Clock::now() < look_) return;
    look_ = Clock::now() + kLook;
    std::string text = fmt::format("{} of {} cells have ended", ended_ + before(), now_.size());
    std::vector<double> shares;
    for (const Running& one : running_) {
      const Cell& cell = plan_.cells.all[one.cell];
      const std::int64_t step = step_of(one.cell);
      shares.push_back(share_done(one, step));
      text += fmt::format("; {}: step {} of {}", cell.name, step, cell.steps);
    }
    progress_.show(text + fmt::format("; about {} left", duration_text(seconds_left(shares))));
  }

  const SweepPlan& plan_;
  const fs::path& sweep_;
  std::size_t jobs_;
  StopSignals& signals_;
  std::vector<CellStatus> now_;
  std::deque<std::size_t> waiting_;
  std::vector<Running> running_;
  std::size_t ended_ = 0;
  int stopped_ = 0;
  double measured_ = 0.0, predicted_ = 0.0;  // seconds of the cells that have ended
  Clock::time_point look_ = Clock::now() + kLook;
  Progress progress_{std::chrono::seconds(30)};
};

}  // namespace

SweepOutcome run_as_processes(const SweepPlan& plan, const fs::path& sweep, int jobs, StopSignals& signals) {
  return Processes(plan, sweep, jobs, signals).run();
}

}  // namespace granule
