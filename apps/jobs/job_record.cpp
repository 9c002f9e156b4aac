#include "apps/jobs/job_record.hpp"

#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "apps/program/console.hpp"
#include "apps/runs/run_status.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {

using nlohmann::json;

namespace {

std::string name_of(int signal) {
  return std::string("SIG") + sigabbrev_np(signal);
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

/// Stderr gets the error when the program ends.
void JobRecord::log_error(const Error& error) const {
  if (!provenance_) return;
  std::ofstream log(run_ / "log.txt", std::ios::app);
  log << "granule: error: " << error.what() << '\n';
}

int JobRecord::run(const Trainer& trainer, const std::function<int()>& train) {
  try {
    const int signal = train();
    if (signal != 0) stopped_by_ = name_of(signal);
    end_session(trainer.done(), signal != 0 ? json(stopped_by_) : json());
    return signal;
  } catch (const Error& error) {
    end_session(trainer.done(), as_utf8(error.what()));
    log_error(error);
    throw;
  }
}

RunEnd JobRecord::end_of(const std::filesystem::path& run, const Trainer& trainer) const {
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  return {.run = run,
          .step = trainer.done(),
          .steps = trainer.total(),
          .stopped_by = stopped_by_,
          .ce = trainer.last_ce(),
          .seconds = seconds.count(),
          .checkpoint = trainer.saved() < 0 ? std::filesystem::path()
                                            : checkpoints_of(run) / checkpoint_name(trainer.saved())};
}

std::optional<Error> print_end(const RunEnd& end) {
  return print_result(end_of_run(end));
}

RunEnd end_before_a_step(const std::filesystem::path& run, int signal) {
  const std::optional<StepDirectory> checkpoint = newest_whole(run);
  return {.run = run,
          .step = checkpoint ? checkpoint->step : 0,
          .stopped_by = name_of(signal),
          .checkpoint = checkpoint ? checkpoint->path : std::filesystem::path()};
}

}  // namespace granule
