// Whether a layout fits into a device's memory, what is to blame where it does not, and what would.
#pragma once
#include <optional>
#include <string>

#include "apps/planning/device.hpp"
#include "apps/planning/memory_plan.hpp"

namespace granule {

enum class Fit : std::uint8_t {
  yes,
  unless_skewed,  ///< with tokens spread evenly, but not when all of them choose one rank's experts
  no
};

/// Keys to change, and what a rank would then hold at most.
struct Change {
  std::vector<std::string> keys;  ///< "parallel.zero=3"; of other ranks "--ranks 64"
  std::int64_t bytes = 0;
};

struct Advice {
  Fit fit = Fit::yes;
  std::string blame;             ///< the largest category, where it does not fit
  std::optional<Change> change;  ///< the least that would fit; none: nothing that was tried does
};

[[nodiscard]] Advice advise(const PlanRequest& request, const RankMemory& even, const RankMemory& worst,
                            double memory);

}  // namespace granule
