// What a job records about itself: its session in run.json and in checkpoints, and the line on stdout.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/runs/provenance.hpp"
#include "apps/runs/run_start.hpp"
#include "apps/runs/run_status.hpp"
#include "apps/training/trainer.hpp"
#include "distributed/hosts.hpp"

namespace granule {

/// Every rank has one, and the first rank writes.
class JobRecord {
 public:
  JobRecord(const Communicator& ranks, const Hosts& hosts, int threads);

  /// Writes run.json with this job's session. If it is not called, as for a complete run, nothing is
  /// recorded.
  void begin(const std::filesystem::path& run, const RunStart& start, const Trainer& trainer,
             const RunConfig& config, const nlohmann::json& data);
  /// Null before begin().
  [[nodiscard]] nlohmann::json provenance() const;

  /// Trains and completes the session, also after an exception. Returns what `train` returned: the signal
  /// that stopped the run, or 0.
  int run(const Trainer& trainer, const std::function<int()>& train);

  /// How the job ended.
  [[nodiscard]] RunEnd end_of(const std::filesystem::path& run, const Trainer& trainer) const;

 private:
  void log_error(const Error& error) const;
  void end_session(std::int64_t step, const nlohmann::json& stopped_by);

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<std::string> hosts_;
  std::int64_t ranks_, threads_;
  std::filesystem::path run_;
  std::optional<Provenance> provenance_;
  std::string stopped_by_;
};

/// Prints one line on stdout. It does not matter if nobody reads it, because the run is already on the disk.
/// Returns the error of a stdout that cannot be written.
[[nodiscard]] std::optional<Error> print_end(const RunEnd& end);

/// How a job ended that a signal stopped before its first step.
[[nodiscard]] RunEnd end_before_a_step(const std::filesystem::path& run, int signal);

}  // namespace granule
