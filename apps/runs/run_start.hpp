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
  /// The files of the model or the fork. Absent if the run has its own checkpoint.
  std::optional<ModelFiles> files{};
  std::optional<ConfigBase> base{};  ///< values under the config file
  nlohmann::json before{};           ///< the run's provenance until now; null for a new run
};

/// Rank 0 chooses, and all ranks open what it chose. Once the run has a checkpoint, what it began with is not
/// needed and not opened. A run without a checkpoint begins as its run.json says, unless the command line
/// says something else. This is a collective.
[[nodiscard]] RunStart open_start(Communicator& ranks, const TrainArguments& arguments);

/// The config of the run. It comes from its file, its own config.toml, or the fork's source, and from the
/// overrides. It is not a collective.
[[nodiscard]] RunConfig config_of_run(const TrainArguments& arguments, const RunStart& start,
                                      std::int64_t ranks);

/// For provenance: {"kind", "path", "step", "digest"}, or {"kind": "initialised", "seed"}. Only rank 0 calls
/// it.
[[nodiscard]] nlohmann::json described_start(const RunStart& start, const RunConfig& config);

}  // namespace granule
