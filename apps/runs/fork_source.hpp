// RUN[:STEP], the checkpoint from which a new run continues.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {

/// The directory of the checkpoint that the text names. It is that of STEP, or else the newest valid one. RUN
/// may also be a checkpoint's directory. Throws a user error that lists the steps that exist.
[[nodiscard]] std::filesystem::path find_fork_source(const std::string& text);

/// The position at which a run begins. A new run begins at zero. A fork begins at the position of its source,
/// and continues from there with its own batches.
struct RunPosition {
  std::int64_t step = 0;     ///< steps that were done before the run's first step
  std::int64_t samples = 0;  ///< samples of the data that were read before
  std::int64_t tokens = 0;   ///< tokens that the weights were trained on before
  friend bool operator==(const RunPosition&, const RunPosition&) = default;
};
/// Where the run of a checkpoint began, from the checkpoint's sections.
[[nodiscard]] RunPosition beginning_of(const nlohmann::json& sections);
[[nodiscard]] nlohmann::json to_json(const RunPosition& position);

/// Why a fork cannot continue in the data where its source was. Empty if it can.
[[nodiscard]] std::string reason_to_read_anew(const RunConfig& source, const RunConfig& fork,
                                              const nlohmann::json& source_data, const nlohmann::json& data);

/// Where a fork of this checkpoint begins. `samples` is 0 if the data are read from their beginning.
[[nodiscard]] RunPosition fork_position(const Checkpoint& source, const RunConfig& source_config,
                                        bool read_anew);

}  // namespace granule
