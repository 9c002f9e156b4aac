// What is wrong with the lengths of a run's schedule, said before it trains.
#pragma once
#include "apps/config/run_config.hpp"

namespace granule {

/// Warns if the warmup is longer than the run. Throws a user error if a decay would never begin. If the run
/// has begun with such a schedule, it only warns.
void check_schedule(const RunSteps& steps, bool has_begun);

}  // namespace granule
