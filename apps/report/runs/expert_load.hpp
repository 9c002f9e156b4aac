// The load of every expert over the steps of a run, from router.bin. The file is read in pieces, and only
// sums over bins of steps are in memory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace granule {

struct ExpertLoad {
  std::vector<std::int64_t> layers;  ///< the numbers of the MoE layers
  std::int64_t experts = 0;
  std::vector<std::int64_t> steps;  ///< the last step of each bin
  /// Load of an expert, divided by the mean load of its layer in the bin: [layer][bin][expert]. NaN if
  /// nobody was chosen in the bin.
  std::vector<double> share;

  [[nodiscard]] bool empty() const { return steps.empty(); }
  [[nodiscard]] double at(std::size_t layer, std::size_t bin, std::size_t expert) const {
    return share[(layer * steps.size() + bin) * static_cast<std::size_t>(experts) + expert];
  }
};

/// How many bins a run may have, so that this many numbers are enough for all of its layers and experts.
struct LoadBudget {
  std::int64_t most_bins = 60;
  std::int64_t numbers = 0;  ///< 0 is no limit
  friend bool operator==(const LoadBudget&, const LoadBudget&) = default;
};

/// Empty if there is no file, or no step in it. A step that is only partly written is left out. Throws a user
/// error if the file is not what it should be.
[[nodiscard]] ExpertLoad read_expert_load(const std::filesystem::path& file, LoadBudget budget);

}  // namespace granule
