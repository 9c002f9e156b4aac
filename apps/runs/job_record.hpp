// What a job leaves behind of itself: its session in run.json and in checkpoints, and the line on stdout.
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
#include "apps/training/trainer.hpp"
#include "distributed/hosts.hpp"

namespace granule {

/// Of every rank; the first one writes.
class JobRecord {
 public:
  JobRecord(const Communicator& ranks, const Hosts& hosts, int threads);

  /// Writes run.json with this job's session. Without it, as for a run that is complete, nothing is recorded.
  void begin(const std::filesystem::path& run, const RunStart& start, const Trainer& trainer,
             const RunConfig& config, const nlohmann::json& data);
  /// Null before begin().
  [[nodiscard]] nlohmann::json provenance() const;

  /// Trains, and completes the session, however that ends. Returns what `train` returned, the signal that the
  /// run was stopped by, or 0.
  int run(const Trainer& trainer, const std::function<int()>& train);

  /// One line on stdout. The run is on the disk by now: that nobody can read the line changes nothing.
  void print_end(const std::filesystem::path& run, const Trainer& trainer) const;

 private:
  void end_session(std::int64_t step, const nlohmann::json& stopped_by);

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<std::string> hosts_;
  std::int64_t ranks_, threads_;
  std::filesystem::path run_;
  std::optional<Provenance> provenance_;
  std::string stopped_by_;
};

/// The same line of a job that a signal stopped before it came to a step.
void print_end_before_a_step(const std::filesystem::path& run, int signal);

}  // namespace granule
