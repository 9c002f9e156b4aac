#include "apps/runs/job_record.hpp"

#include <cstring>

#include <nlohmann/json.hpp>

#include "apps/program/console.hpp"
#include "apps/runs/run_status.hpp"
#include "core/error.hpp"
#include "distributed/checkpoint.hpp"

namespace granule {

using nlohmann::json;

namespace {

std::string name_of(int signal) {
  return std::string("SIG") + sigabbrev_np(signal);
}

/// A job that has saved ends even if nobody reads the line.
void print_line(const RunEnd& end) {
  if (!somebody_reads_out()) return say("granule: warning: nobody reads stdout: its line is left out");
  try {
    print_json(end_of_run(end));
  } catch (const ReaderGone&) {
    return;
  } catch (const Error& error) {
    say("granule: warning: {}", error.what());
  }
}

}  // namespace

JobRecord::JobRecord(const Communicator& ranks, const Hosts& hosts, int threads)
    : hosts_(hosts.names()), ranks_(ranks.size()), threads_(threads) {}

void JobRecord::begin(const std::filesystem::path& run, const RunStart& start, const Trainer& trainer,
                      const RunConfig& config, const json& data) {
  run_ = run;
  provenance_.emplace(start.before, described_start(start, config));
  provenance_->begin({.hosts = hosts_,
                      .ranks = ranks_,
                      .threads = threads_,
                      .from_step = trainer.done(),
                      .steps = trainer.total()},
                     described_data(config, data));
  provenance_->write(run);
}

json JobRecord::provenance() const {
  return provenance_ ? provenance_->record() : json();
}

void JobRecord::end_session(std::int64_t step, const json& stopped_by) {
  if (!provenance_) return;
  provenance_->end(step, stopped_by);
  try {
    provenance_->write(run_);
  } catch (const Error& error) {  // only the checkpoints matter
    say("granule: warning: {}", error.what());
  }
}

int JobRecord::run(const Trainer& trainer, const std::function<int()>& train) {
  try {
    const int signal = train();
    if (signal != 0) stopped_by_ = name_of(signal);
    end_session(trainer.done(), signal != 0 ? json(stopped_by_) : json());
    return signal;
  } catch (const Error& error) {
    end_session(trainer.done(), as_utf8(error.what()));
    throw;
  }
}

void JobRecord::print_end(const std::filesystem::path& run, const Trainer& trainer) const {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  print_line({.run = run,
              .step = trainer.done(),
              .steps = trainer.total(),
              .stopped_by = stopped_by_,
              .ce = trainer.last_ce(),
              .seconds = seconds.count()});
}

void print_end_before_a_step(const std::filesystem::path& run, int signal) {
  const auto checkpoints = list_checkpoints(run);
  print_line({.run = run,
              .step = checkpoints.empty() ? 0 : checkpoints.front().step,
              .stopped_by = name_of(signal)});
}

}  // namespace granule
