// How far a run is, from its directory alone. `granule status` prints it, and `granule train` uses it in its
// last line.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace granule {

///   {"run", "step", "steps", "complete", "running", "job", "ce", "aux", "lr", "grad_norm", "val_ce",
///    "val_step", "tokens_per_second", "step_seconds", "seconds_left", "checkpoint", "updated"}
/// What is not known is null. It changes nothing and waits for nothing. Throws a user error for a directory
/// that is not a run's.
[[nodiscard]] nlohmann::ordered_json run_status(const std::filesystem::path& run);

/// The steps of the whole run, for a run.json that says `record`, which may be null. Without it they come
/// from the config. Absent if only the data would tell.
[[nodiscard]] std::optional<std::int64_t> steps_of_run(const std::filesystem::path& run,
                                                       const nlohmann::json& record);

/// For example: "step 120 of 200, 0.013 s a step, 80867 tok/s, 1 s left; ce 5.78, val ce 5.86; held by host
/// h, process 12".
[[nodiscard]] std::string status_text(const nlohmann::ordered_json& status);

/// How a job on a run ended.
struct RunEnd {
  std::filesystem::path run;
  std::int64_t step = 0, steps = 0;
  std::string stopped_by{};            ///< a signal's name; empty if the run is complete
  std::optional<double> ce{};          ///< of the last step, if this job computed it
  double seconds = 0.0;                ///< of the job
  std::filesystem::path checkpoint{};  ///< saved last or resumed from; empty if there is none
};

///   {"run", "step", "steps", "complete", "stopped_by", "ce", "val_ce", "checkpoint", "seconds"}
/// This is the line on stdout. Values that this job did not measure come from metrics.jsonl.
[[nodiscard]] nlohmann::ordered_json end_of_run(const RunEnd& end);

}  // namespace granule
