// granule bench: rates compared with the machine's own ceiling, which is measured in the same run.
#include <map>

#include <nlohmann/json.hpp>

#include "apps/commands/bench/bench_ceiling.hpp"
#include "apps/commands/bench/bench_generation.hpp"
#include "apps/commands/bench/bench_rates.hpp"
#include "apps/commands/bench/bench_step.hpp"
#include "apps/commands/commands.hpp"
#include "apps/inputs/same_input.hpp"
#include "apps/jobs/gpu_of_rank.hpp"
#include "apps/jobs/split_rows.hpp"
#include "apps/planning/device.hpp"
#include "apps/program/console.hpp"
#include "apps/program/usage.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/plugin.hpp"
#include "data/files/strict_json.hpp"
#include "distributed/agreement.hpp"
#include "distributed/mpi/launcher.hpp"

namespace granule {
namespace {

struct BenchArguments {
  std::filesystem::path config, compare;
  std::vector<std::string> overrides;
  bool json = false;
  std::int64_t steps = 7, repeats = 15;
  int threads = available_cores();
  double seconds = 0.2;
  Routing routing = Routing::natural;
  GenerationBench generation{};
  std::optional<double> peak_tflops{};
};

constexpr const char* kCpu = "cpu";
/// As its driver names it.
std::string device_name(const RunConfig& config) {
  return config.train.device == DeviceType::cpu ? kCpu : load_cuda_plugin().device_name;
}

RunConfig config_of(const BenchArguments& arguments, std::int64_t ranks = 1) {
  RunConfig config = load_run_config(arguments.config, arguments.overrides, {.ranks = ranks});
  if (config.model.vocab_size == 0) {
    user_error("model.vocab_size is not set", arguments.config.string(),
               "bench makes its own tokens: set it");
  }
  return config;
}

/// Reads what an earlier run of the same benchmark printed with --json.
nlohmann::json earlier_result(const std::filesystem::path& path) {
  return load_json_object(path);
}

double figure(const nlohmann::json& result, const char* key, const std::filesystem::path& path) {
  if (!result.contains(key) || !result[key].is_number()) {
    user_error(fmt::format("there is no {} in it", key), path.string(),
               "name a result of the same benchmark");
  }
  return result[key];
}

void print_machine(const nlohmann::ordered_json& result) {
  const int ranks = result.value("ranks", 1);
  const std::string of = ranks > 1 ? fmt::format("{} ranks of ", ranks) : std::string();
  if (result["device"] != kCpu) {
    say("{}{}: stated peak {:.4g} TFLOP/s, a copy {:.1f} GB/s", of, result["device"].get<std::string>(),
        result["fma_ceiling_gflops"].get<double>() / 1e3, result["stream_gbps"].get<double>());
    return;
  }
  say("machine, {}{} threads: {:.0f} GFLOP/s multiply-add, {:.1f} GB/s", of, result["threads"].get<int>(),
      result["fma_ceiling_gflops"].get<double>(), result["stream_gbps"].get<double>());
}

void print_step(const nlohmann::ordered_json& result) {
  say("{:.0f} tokens/s, {:.3f} s a step, of which the floor of {:.3f} s is {:.0f} %, MFU {:.1f} %; peak of "
      "tensors {:.3g} GiB",
      result["tokens_per_second"].get<double>(), result["step_seconds"].get<double>(),
      result["floor_seconds"].get<double>(), 100.0 * result["share_of_floor"].get<double>(),
      100.0 * result["mfu"].get<double>(), result["peak_bytes"].get<double>() / (1 << 30));
  print_machine(result);
  if (result.contains("share_of_sustained")) {
    say("between steps it kept up {:.0f} GFLOP/s on average, and the floor at that rate is {:.0f} % of a "
        "step",
        result["sustained_gflops"].get<double>(), 100.0 * result["share_of_sustained"].get<double>());
  }
  for (const auto& [phase, seconds] : result["seconds_by_phase"].items()) {
    say("  {:<32} {:8.1f} ms", phase, 1e3 * seconds.get<double>());
  }
}

/// Rates differ between machines and moments. Shares of the floor that each run measured can be compared.
void compare_step(const nlohmann::ordered_json& now, const std::filesystem::path& path) {
  const auto before = earlier_result(path);
  for (const char* const key : {"tokens_per_second", "share_of_floor"}) {
    const double then = figure(before, key, path), here = now[key].get<double>();
    say("{}: {:.4g} then, {:.4g} now, ratio {:.3f}", key, then, here, here / then);
  }
}

void print_pieces(const nlohmann::ordered_json& result) {
  say("{:<40} {:>10} {:>9} {:>8} {:>9}", "", "ms", "GFLOP/s", "GB/s", "of floor");
  for (const auto& row : result["results"]) {
    say("{:<40} {:10.3f} {:9.1f} {:8.1f} {:7.0f} %", row["name"].get<std::string>(),
        1e3 * row["seconds"].get<double>(), row["gflops"].get<double>(), row["gbps"].get<double>(),
        100.0 * row["share_of_floor"].get<double>());
  }
  print_machine(result);
}

void compare_pieces(const nlohmann::ordered_json& now, const std::filesystem::path& path) {
  const auto before = earlier_result(path);
  if (!before.contains("results"))
    user_error("there are no results in it", path.string(), "name a result of the same benchmark");
  std::map<std::string, double> then;
  for (const auto& row : before["results"]) then[row.value("name", "")] = row.value("share_of_floor", 0.0);
  for (const auto& row : now["results"]) {
    const auto found = then.find(row["name"].get<std::string>());
    if (found == then.end() || found->second <= 0.0) continue;
    say("{:<40} share of floor, now over then: {:.3f}", found->first,
        row["share_of_floor"].get<double>() / found->second);
  }
}

void print_ceiling(const nlohmann::ordered_json& result) {
  say("{} threads, {}, {:.2f} GHz; GFLOP/s of independent chains of multiply-adds:",
      result["threads"].get<int>(), result["instruction_set"].get<std::string>(),
      result["clock_ghz"].get<double>());
  for (const char* const type : {"f32", "f64", "bf16"}) {
    if (!result.contains(type)) continue;  // bf16 without units of its own
    std::string line;
    for (const auto& [chains, rate] : result[type]["gflops_by_chains"].items())
      line += fmt::format("  {}: {:.1f}", chains, rate.get<double>());
    say("{:<4}{}  = {:.3g} vectors of {} a cycle and thread, {:.0f} % of it on average", type, line,
        result[type]["fmas_per_cycle"].get<double>(), result[type]["lanes"].get<int>(),
        100.0 * result[type]["sustained_gflops"].get<double>() /
            result[type]["fma_ceiling_gflops"].get<double>());
  }
  say("{:.1f} GB/s read and written, {:.1f} GB/s only read", result["stream_gbps"].get<double>(),
      result["read_gbps"].get<double>());
}

using Print = void (*)(const nlohmann::ordered_json&);
using Compare = void (*)(const nlohmann::ordered_json&, const std::filesystem::path&);

void show(const BenchArguments& arguments, const nlohmann::ordered_json& result, Print print,
          Compare compare) {
  if (arguments.json) print_json(result);
  if (!arguments.json) print(result);
  if (!arguments.compare.empty()) compare(result, arguments.compare);
}

/// Of a GPU: what the user states, or the published figure. A CPU's rate is measured.
std::optional<double> stated_peak(const BenchArguments& arguments, const RunConfig& config) {
  if (config.train.device == DeviceType::cpu) {
    if (arguments.peak_tflops)
      user_error("a CPU's peak is measured, not stated", "--peak-tflops",
                 "leave it out, or set train.device=cuda");
    return std::nullopt;
  }
  if (arguments.peak_tflops) return *arguments.peak_tflops * 1e12;
  if (const auto published = peak_of_gpu(config.train.dtype)) return published;
  user_error(fmt::format("the peak of this GPU is not known: {}", device_name(config)), "--peak-tflops",
             "give it, in 10¹² operations a second");
}

void run_step(const BenchArguments& arguments) {
  run_job_together([&](Communicator& ranks) {
    Watchdog watchdog(ranks, watchdog_options());
    RunConfig config;
    std::optional<double> peak;
    agree(ranks, [&] {
      config = config_of(arguments, ranks.size());
      peak = stated_peak(arguments, config);
    });
    const Hosts hosts(ranks);
    require_same_options(ranks, hosts,
                         {{"--steps", fmt::format("{}", arguments.steps)},
                          {"--routing", std::string(name_of(arguments.routing))}});
    require_same_input(ranks, hosts, {.config = config});
    warn_of_split_rows(ranks, hosts, config.parallel.ep);
    watchdog.set_seconds(static_cast<double>(config.parallel.watchdog_seconds));
    const int threads = thread_count(config, ranks_on_these_cores(ranks));
    nlohmann::ordered_json result = bench_step(ranks, config,
                                               {.threads = threads,
                                                .steps = arguments.steps,
                                                .routing = arguments.routing,
                                                .gpu = gpu_of_rank(ranks, config, hosts.place_on_host()),
                                                .stated_peak = peak});
    result["device"] = device_name(config);
    if (ranks.rank() == 0) show(arguments, result, print_step, compare_step);
  });
}

void run_pieces(const BenchArguments& arguments,
                std::vector<BenchPiece> (*make)(Context&, const RunConfig&)) {
  const RunConfig config = config_of(arguments);
  const std::optional<double> peak = stated_peak(arguments, config);
  Context context(context_options(config, thread_count(config)));
  const auto pieces = make(context, config);
  auto result = measure_pieces(context, config.train.dtype, pieces, arguments.repeats, peak);
  result["device"] = device_name(config);
  show(arguments, result, print_pieces, compare_pieces);
}

void print_generation(const nlohmann::ordered_json& result) {
  const auto &prefill = result["prefill"], &decode = result["decode"];
  say("prompt of {} tokens: {:.1f} ms, {:.0f} tokens/s, {:.1f} GFLOP/s, which is {:.0f} % of the ceiling",
      prefill["tokens"].get<std::int64_t>(), 1e3 * prefill["seconds"].get<double>(),
      prefill["tokens_per_second"].get<double>(), prefill["gflops"].get<double>(),
      100.0 * prefill["share_of_ceiling"].get<double>());
  say("a token after it: {:.2f} ms, {:.0f} tokens/s, {:.1f} GB/s of weights and cache, which is {:.0f} % of "
      "reading alone",
      1e3 * decode["seconds"].get<double>(), decode["tokens_per_second"].get<double>(),
      decode["gbps"].get<double>(), 100.0 * decode["share_of_reads"].get<double>());
  say("machine, {} threads: {:.0f} GFLOP/s multiply-add, {:.1f} GB/s read", result["threads"].get<int>(),
      result["fma_ceiling_gflops"].get<double>(), result["read_gbps"].get<double>());
}

void compare_generation(const nlohmann::ordered_json& now, const std::filesystem::path& path) {
  const auto before = earlier_result(path);
  for (const char* const part : {"prefill", "decode"}) {
    if (!before.contains(part))
      user_error(fmt::format("there is no {} in it", part), path.string(),
                 "name a result of the same benchmark");
    const double then = figure(before[part], "tokens_per_second", path),
                 here = now[part]["tokens_per_second"].get<double>();
    say("{}: {:.4g} tokens/s then, {:.4g} now, ratio {:.3f}", part, then, here, here / then);
  }
}

void run_generation(const BenchArguments& arguments) {
  const RunConfig config = config_of(arguments);
  if (config.train.device != DeviceType::cpu)
    user_error("generation runs on the CPU", "train.device", "leave it out, or set it to \"cpu\"");
  const GenerationBench& options = arguments.generation;
  if (options.prompt + options.tokens > config.model.positions())
    user_error(fmt::format("--prompt and --tokens are {} tokens, and the model has {} positions",
                           options.prompt + options.tokens, config.model.positions()),
               arguments.config.string(), "give less, or set model.max_position_embeddings");
  auto result = bench_generation(config, thread_count(config), options);
  result["device"] = kCpu;
  show(arguments, result, print_generation, compare_generation);
}

void run_ceiling(const BenchArguments& arguments) {
  const nlohmann::ordered_json result = bench_ceiling(arguments.threads, arguments.seconds);
  if (arguments.json) return print_json(result);
  print_ceiling(result);
}

void add_routing(CLI::App& step, const std::shared_ptr<BenchArguments>& arguments) {
  std::vector<std::string> names;
  for (const auto& [name, routing] : kRoutingNames) names.emplace_back(name);
  step.add_option_function<std::string>(
          "--routing",
          [arguments](const std::string& given) {
            for (const auto& [name, routing] : kRoutingNames)
              if (name == given) arguments->routing = routing;
          },
          "Where tokens go. natural: where the router sends them. even: to every expert equally. worst: to "
          "the "
          "experts of the first rank.")
      ->check(CLI::IsMember(names))
      ->type_name("WHERE")
      ->default_str("natural");
}

void add_ceiling(CLI::App& bench, const std::shared_ptr<BenchArguments>& arguments) {
  CLI::App* command = bench.add_subcommand(
      "ceiling", "Measure what this machine can do. All other benchmarks are compared with it.");
  command
      ->add_option("--threads", arguments->threads,
                   "How many threads are measured together. By default it is the number of cores.")
      ->check(CLI::Range(1, 4096));
  command
      ->add_option("--seconds", arguments->seconds,
                   "How long each rate is measured. By default it is 0.2 seconds.")
      ->check(CLI::Range(0.001, 60.0));
  command->add_flag("--json", arguments->json, "Print one JSON object on stdout.");
  command->footer("Example:\n  granule bench ceiling --threads 1");
  command->callback([arguments] { run_ceiling(*arguments); });
}

void add_peak(CLI::App& command, BenchArguments& arguments) {
  command
      .add_option(
          "--peak-tflops", arguments.peak_tflops,
          "Peak of the GPU at the dtype of the config, in 10¹² operations a second. Cards with a known "
          "name need none.")
      ->type_name("T")
      ->check(CLI::Range(1e-6, 1e12));
}

CLI::App* add_benchmark(CLI::App& bench, const char* name, const char* what, BenchArguments& arguments) {
  CLI::App* command = bench.add_subcommand(name, what);
  command->add_option("config", arguments.config, kConfigHelp)->required()->type_name("CONFIG");
  command->add_option("overrides", arguments.overrides, "Keys to override, such as train.threads=1.")
      ->type_name("key=value");
  command->add_flag("--json", arguments.json, "Print one JSON object on stdout.");
  command
      ->add_option("--compare", arguments.compare,
                   "An earlier result of --json. The ratios to it are printed.")
      ->type_name("FILE");
  command->footer(fmt::format("Example:\n  granule bench {} configs/bench.toml --json", name));
  return command;
}

}  // namespace

void add_bench_command(CLI::App& program) {
  const auto arguments = std::make_shared<BenchArguments>();
  CLI::App* bench = program.add_subcommand("bench", "Measure the speed of this machine.");
  bench->footer("Example: granule bench step configs/bench.toml");
  require_one_of_its_commands(*bench);
  add_ceiling(*bench, arguments);
  CLI::App* gemm =
      add_benchmark(*bench, "gemm", "Measure the matrix products of a training step.", *arguments);
  CLI::App* ops = add_benchmark(
      *bench, "ops", "Measure the operators of a training step, forward and backward.", *arguments);
  for (CLI::App* const command : {gemm, ops}) {
    command->add_option("--repeats", arguments->repeats, "How often each is run. The median is reported.")
        ->check(CLI::Range(1, 1000000));
  }
  CLI::App* step =
      add_benchmark(*bench, "step", "Measure whole training steps on random tokens.", *arguments);
  step->add_option("--steps", arguments->steps, "How many steps are measured. Their median is reported.")
      ->check(CLI::Range(1, 1000000));
  add_routing(*step, arguments);
  for (CLI::App* const command : {gemm, ops, step}) add_peak(*command, *arguments);
  CLI::App* generation =
      add_benchmark(*bench, "generation",
                    "Measure how a model with random weights reads a prompt and continues it.", *arguments);
  const auto count = [&](const char* name, std::int64_t& value, const char* text) {
    generation->add_option(name, value, text)->check(CLI::Range(1, 1000000))->capture_default_str();
  };
  count("--prompt", arguments->generation.prompt, "Tokens of the prompt, which are read together.");
  count("--tokens", arguments->generation.tokens, "Tokens after it, which are read one after the other.");
  count("--repeats", arguments->generation.repeats, "How often all is repeated. Medians are reported.");
  generation->callback([arguments] { run_generation(*arguments); });
  gemm->callback([arguments] { run_pieces(*arguments, gemm_pieces); });
  ops->callback([arguments] { run_pieces(*arguments, operator_pieces); });
  step->callback([arguments] { run_step(*arguments); });
}

}  // namespace granule
