// What a run starts from: nothing, the weights of a model, the whole state of another run, or its own
// checkpoint.
#pragma once
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "apps/models/model_files.hpp"
#include "apps/runs/train_arguments.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

struct RunStart {
  enum class Kind : std::uint8_t { initialised, model, fork };
  Kind kind = Kind::initialised;
  std::optional<ModelFiles>
      files{};  ///< of the model or the fork; none where the run has a checkpoint of its own
  std::optional<ConfigBase> base{};  ///< under the config file
  nlohmann::json before{};           ///< the run's provenance until now; null for a new run
};

/// Rank 0 looks, and all ranks open what it chose. What a run began with is not needed, and not looked at,
/// once the run has a checkpoint. A run that has none yet begins as its run.json says, where the command line
/// does not. A collective.
[[nodiscard]] RunStart open_start(Communicator& ranks, const TrainArguments& arguments);

/// The config of the run, from its file, its own config.toml, or the fork's source, and the overrides. No
/// collective.
[[nodiscard]] RunConfig config_of_run(const TrainArguments& arguments, const RunStart& start,
                                      std::int64_t ranks);

/// For provenance: {"kind", "path", "step", "digest"}, or {"kind": "initialised", "seed"}. Rank 0's.
[[nodiscard]] nlohmann::json described_start(const RunStart& start, const RunConfig& config);

}  // namespace granule
