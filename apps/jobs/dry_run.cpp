#include "apps/jobs/dry_run.hpp"

#include <nlohmann/json.hpp>

#include "apps/jobs/schedule_check.hpp"
#include "apps/planning/plan.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

/// An endless run has more tokens than an integer can count. Then the result is a floating-point number.
nlohmann::ordered_json tokens_of(const RunConfig& config, std::int64_t steps) {
  const std::int64_t of_step = config.train.batch_size * config.data.seq_len;
  std::int64_t tokens = 0;
  if (!__builtin_mul_overflow(steps, of_step, &tokens)) return tokens;
  return static_cast<double>(steps) * static_cast<double>(of_step);
}

/// `request` describes this job, and the bytes of a rank are those of `granule plan`.
void print_request(const PlanRequest& request, const RunSteps& steps) {
  const RunConfig& config = request.config;
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  const double flops = training_flops(config.model, config.moe, config.train.batch_size * config.data.seq_len,
                                      config.data.seq_len);
  const nlohmann::ordered_json report{
      {"config", to_json(config)},
      {"parameters", {{"total", counts.total()}, {"activated", counts.activated()}}},
      {"steps", steps.total},
      {"tokens", tokens_of(config, steps.total)},
      {"flops_per_step", flops},
      {"flops", flops * static_cast<double>(steps.total)},
      {"bytes", to_json(rehearse(request, Routing::even).memory)}};
  print_json(report, 2);
  say("{:.2f} M parameters, {:.2f} M activated; {} steps of {} tokens, {:.2f} GFLOP each",
      static_cast<double>(counts.total()) / 1e6, static_cast<double>(counts.activated()) / 1e6, steps.total,
      config.train.batch_size * config.data.seq_len, flops / 1e9);
}

/// Prints what a config alone says. The data would give the vocabulary and the length of the run.
void print_without_data(const PlanRequest& request) {
  if (request.config.model.vocab_size == 0) {
    user_error("the vocabulary size is not known without data", "model.vocab_size",
               "set it, or name the data with data.path");
  }
  print_request(request, resolve_steps(request.config, 0));
}

}  // namespace

PlanRequest plan_of(const RunConfig& config, std::int64_t ranks, int threads) {
  return {.config = config,
          .ranks = ranks,
          .threads = threads,
          .dtype = config.train.dtype,
          .carrier = ranks > 1 ? Carrier::messages : Carrier::memory,
          .on_accelerator = config.train.device != DeviceType::cpu};
}

void print_dry_run(const RunInput& input, std::int64_t ranks, int threads) {
  const RunConfig& config = input.config;
  const PlanRequest request = plan_of(config, ranks, threads);
  if (!input.data) return print_without_data(request);
  const RunSteps steps = resolve_steps(config, input.data->train.samples(config.data.seq_len));
  check_schedule(steps, false);
  print_request(request, steps);
}

}  // namespace granule
