#include "apps/jobs/schedule_check.hpp"

#include "apps/program/console.hpp"
#include "apps/training/learning_rate_notes.hpp"

namespace granule {
namespace {

void warn_of_long_warmup(const RunSteps& steps) {
  if (steps.schedule.warmup <= steps.total) return;
  say("granule: warning: schedule.warmup has {} steps and the run has {}: it ends before the learning rate "
      "reaches optim.lr",
      steps.schedule.warmup, steps.total);
}

/// Throws an error if a decay would never begin. If the run has begun with such a schedule, it only warns.
void check_decay(const RunSteps& steps, bool has_begun) {
  const auto late = decay_after_the_run(steps);
  if (!late) return;
  if (has_begun) return say("granule: warning: {}: there will be no decay", *late);
  user_error(*late, "schedule.decay_at",
             "give a point within the run, such as 0.8; for a run that never decays, give its last step");
}

}  // namespace

void check_schedule(const RunSteps& steps, bool has_begun) {
  warn_of_long_warmup(steps);
  check_decay(steps, has_begun);
}

}  // namespace granule
