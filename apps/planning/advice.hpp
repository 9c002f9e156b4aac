// Whether a layout fits into a device's memory. If not, what takes the memory, and which change would make it
// fit.
#pragma once
#include <optional>
#include <string>

#include "apps/planning/device.hpp"
#include "apps/planning/rehearsal.hpp"

namespace granule {

enum class Fit : std::uint8_t {
  yes,
  unless_skewed,  ///< it fits with tokens spread evenly, but not if all of them choose one rank's experts
  no
};

/// The keys to change, and the most that a rank would then hold.
struct Change {
  std::vector<std::string> keys;  ///< "parallel.zero=3", or "--ranks 64" for another number of ranks
  std::int64_t bytes = 0;
};

struct Advice {
  Fit fit = Fit::yes;
  std::string blame;             ///< the largest category, if it does not fit
  std::optional<Change> change;  ///< the least change that fits; absent if nothing that was tried does
};

[[nodiscard]] Advice advise(const PlanRequest& request, const RankMemory& even, const RankMemory& worst,
                            double memory);

}  // namespace granule
