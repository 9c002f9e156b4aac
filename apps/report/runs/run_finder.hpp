// Which runs the arguments of `granule report` name: run directories, sweeps, and directories that hold them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace granule {

/// What a sweep's table says about one of its runs.
struct SweepCell {
  std::string sweep;           ///< the name of the sweep's directory
  std::string directory;       ///< its whole path, as sweeps may have one name
  std::string variant, label;  ///< cells that differ only in the seed have one variant
  nlohmann::ordered_json values = nlohmann::ordered_json::object();
  std::optional<std::int64_t> seed{};
  std::string state, error;
  std::optional<std::int64_t> steps{}, total_parameters{}, activated_parameters{};
};

struct FoundRun {
  std::filesystem::path path;  ///< of a cell that waits, it need not exist
  std::string name;            ///< no two runs have the same
  std::optional<SweepCell> cell{};
  /// What the table of a sweep says against the run: it was made with another config, so it is no cell now.
  std::string note{};
};

struct FoundRuns {
  std::vector<FoundRun> runs;
  std::vector<std::string> sweep_keys;  ///< the keys that sweeps vary, in their order
  std::string title;
};

/// A directory is searched down to three levels. A run that several arguments name is taken once. Throws a
/// user error for an argument without a run.
[[nodiscard]] FoundRuns find_runs(std::span<const std::filesystem::path> arguments);

}  // namespace granule
