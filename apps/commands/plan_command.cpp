// granule plan: what a run would need on machines that are not available.
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/planning/device.hpp"
#include "apps/planning/plan.hpp"
#include "apps/program/console.hpp"

namespace granule {
namespace {

struct PlanArguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  std::int64_t ranks = 1;
  std::string device = "cpu", dtype;
  // Figures that the user gave, in the units of their options. An absent one is taken from the device.
  std::optional<double> peak_tflops, memory_gb, memory_gbps, node_gbps, network_gbps, host_gbps;
  std::optional<std::int64_t> ranks_per_node;
  Efficiencies reached;
};

constexpr std::int64_t kMostRanks = std::int64_t{1} << 20;

constexpr const char* kExample =
    "Example:\n  granule plan configs/paper/deepseekmoe-16b.toml --ranks 64 --device h100 --dtype bf16 "
    "parallel.ep=8 parallel.zero=1\n"
    "The table is on stderr, and JSON is on stdout. docs/planning.md has every formula and the sources of "
    "the "
    "figures.";

DType dtype_of_plan(const PlanArguments& arguments, const RunConfig& config) {
  if (arguments.dtype.empty()) return config.train.dtype;
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    if (arguments.dtype == name_of(dtype)) return dtype;
  }
  user_error(fmt::format("there is no plan for '{}'", arguments.dtype), "--dtype", "choose f32, f64 or bf16");
}

DeviceFigures figures(const PlanArguments& arguments, DType dtype) {
  DeviceFigures device = device_figures(arguments.device, dtype, arguments.ranks);
  const auto take = [](double& figure, const std::optional<double>& given, double unit) {
    if (given) figure = *given * unit;
  };
  take(device.flops, arguments.peak_tflops, 1e12);
  take(device.memory, arguments.memory_gb, 1e9);
  take(device.memory_rate, arguments.memory_gbps, 1e9);
  take(device.node_rate, arguments.node_gbps, 1e9);
  take(device.network_rate, arguments.network_gbps, 1e9);
  take(device.host_rate, arguments.host_gbps, 1e9);
  device.node_size = arguments.ranks_per_node.value_or(device.node_size);
  return device;
}

void plan(const PlanArguments& arguments) {
  PlanRequest request{
      .config = load_run_config(arguments.config, arguments.overrides, {.ranks = arguments.ranks}),
      .ranks = arguments.ranks};
  if (request.config.model.vocab_size == 0) {
    user_error("the vocabulary size is not known: a plan reads no data", "model.vocab_size",
               "set it, as in model.vocab_size=32000");
  }
  request.dtype = dtype_of_plan(arguments, request.config);
  request.on_accelerator = arguments.device != "cpu";
  // An accelerator's kernels keep on chip what the CPU's kernels keep once for each thread.
  if (arguments.device == "cpu") {
    request.threads = thread_count(request.config, arguments.ranks);
    if (arguments.ranks > 1) request.carrier = Carrier::messages;
  }
  const Plan plan = make_plan(request, figures(arguments, request.dtype), arguments.reached);
  print_err(to_text(plan));
  print_json(to_json(plan), 2);
}

/// The ranges of CLI11 let NaN pass, and print the largest double in full.
CLI::Validator number_between(double least, double most, const std::string& what) {
  const auto check = [=](const std::string& text) {
    double value = 0.0;
    if (!CLI::detail::lexical_cast(text, value) || !(value >= least && value <= most))
      return fmt::format("{} is not {}", text, what);
    return std::string();
  };
  return {check, "", ""};
}

void add_device_options(CLI::App& command, PlanArguments& arguments) {
  const auto figure = [&](const char* name, std::optional<double>& value, const char* unit,
                          const char* text) {
    command.add_option(name, value, text)
        ->type_name(unit)
        ->check(number_between(1e-6, 1e12, "a number from 1e-6 to 1e12"));
  };
  figure("--peak-tflops", arguments.peak_tflops, "T",
         "Peak of a rank at the dtype of the plan, in 10¹² operations a second.");
  figure("--memory-gb", arguments.memory_gb, "GB", "Memory of a rank, in 10⁹ bytes.");
  figure("--memory-gbps", arguments.memory_gbps, "GB/s", "Rate of the memory of a rank.");
  figure("--node-gbps", arguments.node_gbps, "GB/s",
         "Rate of a rank to the ranks of its node, in one direction.");
  figure("--network-gbps", arguments.network_gbps, "GB/s",
         "Rate of a rank to other nodes, in one direction.");
  figure("--host-gbps", arguments.host_gbps, "GB/s",
         "Rate of a rank to the memory of its host, in one direction, for parallel.offload.");
  command.add_option("--ranks-per-node", arguments.ranks_per_node, "Number of ranks of a node.")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, kMostRanks));
  const auto share = [&](const char* name, double& value, double least, const char* text) {
    command.add_option(name, value, text)
        ->type_name("SHARE")
        ->check(number_between(least, 1.0, fmt::format("a number from {} to 1", least)))
        ->capture_default_str();
  };
  share("--flops-efficiency", arguments.reached.flops, 1e-3, "Share of the peak that operations reach.");
  share("--memory-efficiency", arguments.reached.memory, 1e-3,
        "Share of the rates of memory, and to the host, that the optimizer reaches.");
  share("--network-efficiency", arguments.reached.network, 1e-3,
        "Share of the rates between ranks that communication reaches.");
  share("--overlap", arguments.reached.overlap, 0.0,
        "Share of the communication that overlaps with computation.");
}

}  // namespace

void add_plan_command(CLI::App& program) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App& command = *program.add_subcommand(
      "plan", "Predict the memory, the traffic and the time of a run on other machines.");
  command.add_option("config", arguments->config, kConfigHelp)->required()->type_name("CONFIG");
  command.add_option("overrides", arguments->overrides, "Keys to override, such as parallel.zero=1.")
      ->type_name("key=value");
  command.add_option("--ranks", arguments->ranks, "Number of ranks of the job.")
      ->required()
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, kMostRanks));
  command
      .add_option("--device", arguments->device,
                  fmt::format("One of {}. cpu is this machine, shared by the ranks.",
                              fmt::join(device_names(), ", ")))
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--dtype", arguments->dtype, "f32, f64 or bf16 (mixed precision). It replaces train.dtype.")
      ->type_name("TYPE");
  add_device_options(command, *arguments);
  command.footer(kExample);
  command.callback([arguments] { plan(*arguments); });
}

}  // namespace granule
