// What a run directory says about its run besides the rows of its steps: the config, where its data and its
// weights come from, and how far it is.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/report/runs/run_finder.hpp"

namespace granule {

struct RunFacts {
  /// "complete", "running", "stopped", "failed" or "waiting".
  std::string state = "waiting";
  std::string error{};  ///< what ended a run that failed
  std::optional<std::int64_t> steps{};
  /// Every key with its value, {"model.hidden_size": 64, …}, without paths. Of a cell that waits it has only
  /// what the sweep's table says.
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  /// The identity of the data and of the initial weights. What two texts mean is only whether they are equal.
  std::string data{}, start{};
  std::string data_path{}, start_text{};  ///< for people; start_text is empty for initialised weights
  /// Whether other micro-batches would be another objective.
  bool micro_batches_matter = true;
  bool evaluates = false;  ///< whether the config asks for evaluations
  std::optional<std::int64_t> total_parameters{}, activated_parameters{};
  nlohmann::json session{};          ///< the last job that run.json names, or null
  double flops_per_token = 0.0;      ///< NaN if the config is not known
  std::vector<std::string> notes{};  ///< what could not be read, and why
};

/// Everything but the state and the error.
[[nodiscard]] RunFacts facts_of(const FoundRun& run);
/// Adds the state and the error. `last_step` is the step of the last row, or 0.
void put_state(RunFacts& facts, const FoundRun& run, std::int64_t last_step);

/// Whether a job holds the run now, if the file system tells.
[[nodiscard]] bool is_held(const FoundRun& run);

}  // namespace granule
