// RUN[:STEP], the checkpoint that a new run goes on from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"
#include "distributed/checkpoint.hpp"

namespace granule {

/// The directory of the checkpoint that the text names: of STEP, or else the newest valid one. RUN may be a
/// checkpoint's directory itself. Throws a user error that lists the steps that are there.
[[nodiscard]] std::filesystem::path find_fork_source(const std::string& text);

/// Where a run stands in its data after so many steps. A run of its own begins at nothing; one that was
/// forked begins where its source stood, and goes on from there in its own batches.
struct RunPosition {
  std::int64_t step = 0;     ///< that was done before the run's first
  std::int64_t samples = 0;  ///< of the data, that were read before
  std::int64_t tokens = 0;   ///< that the weights were trained on before
  friend bool operator==(const RunPosition&, const RunPosition&) = default;
};
/// From the sections of a checkpoint: where its run began.
[[nodiscard]] RunPosition beginning_of(const nlohmann::json& sections);
[[nodiscard]] nlohmann::json to_json(const RunPosition& position);

/// Why a fork cannot go on where its source stood in the data; empty: it can.
[[nodiscard]] std::string reason_to_read_anew(const RunConfig& source, const RunConfig& fork,
                                              const nlohmann::json& source_data, const nlohmann::json& data);

/// Where a fork of this checkpoint begins: the samples are 0 where the data are read anew.
[[nodiscard]] RunPosition fork_position(const Checkpoint& source, const RunConfig& source_config,
                                        bool read_anew);

}  // namespace granule
