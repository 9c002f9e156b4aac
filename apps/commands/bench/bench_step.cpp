#include "apps/commands/bench/bench_step.hpp"

#include <array>
#include <chrono>

#include <nlohmann/json.hpp>

#include "apps/commands/bench/bench_rates.hpp"
#include "apps/inputs/run_data.hpp"
#include "apps/planning/step_time.hpp"
#include "core/kernels/ceiling.hpp"
#include "core/random.hpp"
#include "core/transfer.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "moe/model/counts.hpp"
#include "moe/training/train_step.hpp"

namespace granule {
namespace {

MicroBatch random_batch(Context& context, const RunConfig& config, std::int64_t first) {
  const std::int64_t rows = config.train.micro_batch_size, seq = config.data.seq_len;
  const RandomStream random(1, "bench");
  const auto token = [&](std::int64_t i) {
    return static_cast<std::int32_t>(
        random.below(static_cast<std::uint64_t>(config.model.vocab_size), static_cast<std::uint64_t>(i)));
  };
  // The target of a token is the next token.
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i <= rows * seq; ++i) tokens.push_back(token(first + i));
  const MicroBatch batch{Tensor::empty(context, {rows * seq}, DType::i32),
                         Tensor::empty(context, {rows * seq}, DType::i32), rows, seq};
  const std::span<const std::int32_t> all(tokens);
  write(all.first(all.size() - 1), batch.token_N);
  write(all.subspan(1), batch.target_N);
  return batch;
}

TrainStepOptions step_options(const RunConfig& config) {
  return {.totals = totals_of(config),
          .recompute = config.train.recompute,
          .decay = DecayOf::everything,
          .grad_clip = 1.0};
}

/// Steps like those of the trainer, but on random tokens and without files.
class BenchStep {
 public:
  BenchStep(Context& context, Communicator& ranks, const RunConfig& config, Routing routing)
      : context_(context),
        config_(config),
        sharded_(context, ranks, config.model, config.moe, config.train.dtype, config.parallel, routing),
        step_(context, sharded_, step_options(config)) {
    sharded_.parameters().initialise(0, config.model.initializer_range);
  }

  double run(std::int64_t n) {
    const auto start = std::chrono::steady_clock::now();
    const StepTotals totals = totals_of(config_);
    const std::int64_t mine = totals.micro_batches / sharded_.ranks().size(), rank = sharded_.ranks().rank();
    std::int64_t next = n * totals.micro_batches + rank * mine;
    static_cast<void>(
        step_.run(n, 1e-4, [&] { return random_batch(context_, config_, next++ * totals.target_tokens); }));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Context& context_;
  const RunConfig& config_;
  ShardedModel sharded_;
  TrainStep step_;
};

/// All ranks measure at once, which shows what the machine gives them together.
MachineRates rates_of_all(Communicator& ranks, Context& context, DType dtype,
                          std::optional<double> stated_peak) {
  const MachineRates own = measure_rates(context, dtype, stated_peak);
  std::array<double, 2> sum{own.gflops, own.gbps};
  ranks.all_reduce(std::span(sum), ReduceOp::sum, "ceilings").wait();
  return {sum[0], sum[1]};
}

/// The mean rate of multiply-adds of all ranks together during a tenth of a second.
double sustained_gflops(Communicator& ranks, Context& context, DType dtype) {
  constexpr double kSeconds = 0.1;
  double sum = 1e-9 * fma_rate(context.pool(), dtype, kFmaChains.back(), kSeconds).mean;
  ranks.all_reduce(std::span(&sum, 1), ReduceOp::sum, "sustained rates").wait();
  return sum;
}

/// The time of every step, and on the CPU the rate of multiply-adds that was kept up after it.
struct StepTimes {
  std::vector<double> seconds, sustained;
};
StepTimes time_steps(Communicator& ranks, Context& context, const RunConfig& config,
                     const BenchOptions& options) {
  StepTimes times;
  BenchStep step(context, ranks, config, options.routing);
  step.run(0);
  context.profile().start();
  for (std::int64_t n = 1; n <= options.steps; ++n) {
    times.seconds.push_back(step.run(n));
    if (context.runtime() == nullptr)
      times.sustained.push_back(sustained_gflops(ranks, context, config.train.dtype));
  }
  return times;
}

}  // namespace

StepFloor step_floor(const RunConfig& config) {
  const Precision precision(config.train.dtype);
  // w, m and v are moved twice and g once. Values that are not the masters are written too.
  const std::int64_t per_parameter =
      7 * size_of(precision.masters) + (precision.keeps_masters() ? size_of(precision.values) : 0);
  return {step_operations(config).needed,
          static_cast<double>(per_parameter) *
              static_cast<double>(count_parameters(config.model, config.moe).total())};
}

nlohmann::ordered_json bench_step(Communicator& ranks, const RunConfig& config, const BenchOptions& options) {
  Context context(context_options(config, options.threads, options.gpu));
  const CarriedTensors carried(ranks, context, carrier_options(config));
  const auto rates = [&] { return rates_of_all(ranks, context, config.train.dtype, options.stated_peak); };
  const MachineRates before = rates();
  const auto [seconds, sustained] = time_steps(ranks, context, config, options);
  std::int64_t peak = context.memory().peak_total();
  ranks.all_reduce(std::span(&peak, 1), ReduceOp::max, "peak").wait();
  const auto [gflops, gbps] = better_of(before, rates());
  const double typical = median(seconds), floor = step_floor(config).seconds(gflops, gbps);
  nlohmann::ordered_json phases;
  for (const auto& [phase, total] : context.profile().seconds())
    phases[phase] = total / static_cast<double>(options.steps);
  nlohmann::ordered_json result{
      {"tokens_per_second", static_cast<double>(config.train.batch_size * config.data.seq_len) / typical},
      {"step_seconds", typical},
      {"fma_ceiling_gflops", gflops},
      {"stream_gbps", gbps},
      {"floor_seconds", floor},
      {"share_of_floor", floor / typical},
      {"mfu", model_flops_utilisation(training_flops(config.model, config.moe,
                                                     totals_of(config).target_tokens, config.data.seq_len),
                                      typical, gflops * 1e9)},
      {"threads", options.threads},
      {"ranks", ranks.size()},
      {"carrier", carried.by_device() ? "nccl" : "host"},
      {"routing", name_of(options.routing)},
      {"peak_bytes", peak},
      {"seconds_by_phase", phases}};
  if (!sustained.empty()) {
    result["sustained_gflops"] = median(sustained);
    result["share_of_sustained"] = step_floor(config).seconds(median(sustained), gbps) / typical;
  }
  return result;
}

}  // namespace granule
