// granule bench: rates against the machine's own ceiling, measured in the same run.
#include <nlohmann/json.hpp>

#include "apps/bench_step.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"

namespace granule {
namespace {

struct BenchArguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  bool json = false;
  std::int64_t steps = 7;
};

void print_step(const nlohmann::ordered_json& result) {
  say("{:.0f} tokens/s, {:.3f} s a step: {:.0f} % of the floor of {:.3f} s",
      result["tokens_per_second"].get<double>(), result["step_seconds"].get<double>(),
      100.0 * result["share_of_floor"].get<double>(), result["floor_seconds"].get<double>());
  say("machine, {} threads: {:.0f} GFLOP/s multiply-add, {:.1f} GB/s; peak of tensors {:.2f} GiB",
      result["threads"].get<int>(), result["fma_ceiling_gflops"].get<double>(),
      result["stream_gbps"].get<double>(), result["peak_bytes"].get<double>() / (1 << 30));
  for (const auto& [phase, seconds] : result["seconds_by_phase"].items()) {
    say("  {:<32} {:8.1f} ms", phase, 1e3 * seconds.get<double>());
  }
}

void run_step(const BenchArguments& arguments) {
  const RunConfig config = load_run_config(arguments.config, arguments.overrides);
  if (config.model.vocab_size == 0)
    user_error("model.vocab_size is not set", arguments.config.string(),
               "bench makes its own tokens: set it");
  const int threads = config.train.threads > 0 ? static_cast<int>(config.train.threads) : available_cores();
  const auto result = bench_step(config, {.threads = threads, .steps = arguments.steps});
  if (arguments.json) {
    print_out(result.dump() + "\n");
  } else {
    print_step(result);
  }
}

}  // namespace

void add_bench_command(CLI::App& program) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* bench = program.add_subcommand("bench", "measure this machine: gemm, ops, step");
  bench->require_subcommand(1);
  CLI::App* step = bench->add_subcommand("step", "whole training steps on random tokens");
  step->add_option("config", arguments->config, "run configuration (TOML)")->required()->type_name("CONFIG");
  step->add_option("overrides", arguments->overrides, "keys to override, such as train.threads=1")
      ->type_name("key=value");
  step->add_option("--steps", arguments->steps, "steps measured; their median is reported")
      ->check(CLI::Range(1, 1000000));
  step->add_flag("--json", arguments->json, "one JSON object on stdout");
  step->footer("Example:\n  granule bench step configs/bench.toml --json");
  step->callback([arguments] { run_step(*arguments); });
}

}  // namespace granule
