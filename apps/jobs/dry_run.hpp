// What `granule train --dry-run` prints: the resolved config, and what a run of it would be.
#pragma once
#include "apps/jobs/run_input.hpp"
#include "apps/planning/plan_request.hpp"

namespace granule {

/// The request of a plan for this job: `ranks` ranks of `threads` threads on these hosts.
[[nodiscard]] PlanRequest plan_of(const RunConfig& config, std::int64_t ranks, int threads);

/// JSON on stdout and a line on stderr. Throws a user error if neither the config nor data tell the
/// vocabulary.
void print_dry_run(const RunInput& input, std::int64_t ranks, int threads);

}  // namespace granule
