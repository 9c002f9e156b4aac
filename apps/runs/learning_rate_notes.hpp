// What a user should hear of a run's learning rate before its first step.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "apps/config/run_config.hpp"

namespace granule {

/// "the learning rate of step 21 is 1.64e-03, that of step 20 was 3.00e-05: …", where the config `now` gives
/// the step after `done` another rate than `saved`, with which the steps until then were taken. Nothing where
/// the run goes on as it would have. `samples` of an epoch count the periods that are given in epochs.
[[nodiscard]] std::optional<std::string> learning_rate_jump(const RunConfig& saved, const RunConfig& now,
                                                            std::int64_t done, std::int64_t samples);

/// "schedule.decay_at comes to step 1000, after the run's last step, 200", where a decay would never begin.
[[nodiscard]] std::optional<std::string> decay_after_the_run(const RunSteps& steps);

}  // namespace granule
