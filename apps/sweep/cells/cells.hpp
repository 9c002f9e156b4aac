// The runs of a sweep: one cell for each combination of values and each seed.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/sweep/cells/solver.hpp"
#include "apps/sweep/cells/sweep_table.hpp"

namespace granule {

struct Cell {
  std::string variant;  ///< the cells of a variant differ only in their seed
  std::string label;    ///< what the sweep's `names` call the variant; empty without them
  std::string name;     ///< of its directory: the variant and the seed
  std::vector<std::pair<std::string, nlohmann::json>> values;  ///< of the swept keys
  std::optional<std::int64_t> seed{};
  std::vector<ConfigEntry> entries;    ///< the config's, with the cell's values last
  RunConfig config;                    ///< resolved; the vocabulary is known
  std::optional<Solution> solution{};  ///< if the sweep solves for a width
  std::int64_t steps = 0;              ///< of the run
};

struct Cells {
  std::vector<Cell> all;  ///< seed by seed, so that early cells are a whole table
  double target = 0.0;    ///< the budget that all have, if the sweep solves
};

/// What the data tell about a config: its vocabulary, and how many samples an epoch has. 0 means unknown.
struct DataFacts {
  std::int64_t vocab_size = 0;
  std::int64_t samples = 0;
};
using FactsOf = std::function<DataFacts(const RunConfig&)>;

/// Makes the cells of a sweep whose runs have `ranks` ranks. A target is the budget of the config without its
/// swept keys. Throws user errors that name the cell's place in the file, also if a budget differs by more
/// than kClosest from the target.
[[nodiscard]] Cells cells_of(const SweepTable& table, std::int64_t ranks, const FactsOf& facts);
inline constexpr double kClosest = 0.005;

}  // namespace granule
