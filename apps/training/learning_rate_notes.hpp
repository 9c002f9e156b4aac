// Messages about a run's learning rate that a user should read before the first step.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "apps/config/run_config.hpp"

namespace granule {

/// "the learning rate of step 21 is 1.64e-03, that of step 20 was 3.00e-05: …". It is returned if the config
/// `now` gives the step after `done` another rate than `saved`, which was used until then. Absent if the run
/// continues as it would have. `samples` of an epoch are needed for periods in epochs.
[[nodiscard]] std::optional<std::string> learning_rate_jump(const RunConfig& saved, const RunConfig& now,
                                                            std::int64_t done, std::int64_t samples);

/// "schedule.decay_at comes to step 1000, after the run's last step, 200". Absent unless a decay would never
/// begin.
[[nodiscard]] std::optional<std::string> decay_after_the_run(const RunSteps& steps);

}  // namespace granule
