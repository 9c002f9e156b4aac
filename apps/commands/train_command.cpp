// granule train: from a config and data to a run directory.
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/console.hpp"
#include "apps/model_files.hpp"
#include "apps/planning/plan.hpp"
#include "apps/training/trainer.hpp"
#include "core/error.hpp"
#include "core/kernels/ceiling.hpp"
#include "data/files/digest.hpp"
#include "distributed/agreement.hpp"
#include "distributed/mpi/launcher.hpp"
#include "moe/counts.hpp"
#include "moe/sharded_model.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct TrainArguments {
  fs::path config, out, init_from;
  std::vector<std::string> overrides;
  bool resume = false, dry_run = false;
};

constexpr double kCeilingSeconds = 0.05;  // enough for a figure that utilisation is given against

constexpr const char* kExample =
    "Example:\n  granule train configs/tiny.toml data.path=DATA train.steps=200 --out runs/tiny\n"
    "A requeued job passes --resume every time: it goes on from the newest checkpoint, or starts.\n"
    "Several ranks:\n  mpirun -np 4 granule train configs/tiny.toml data.path=DATA train.micro_batch_size=4 "
    "--out "
    "runs/tiny\n"
    "OpenMPI refuses root without --allow-run-as-root, and more ranks than cores without --oversubscribe:\n"
    "docs/distributed.md.";

void warn_of_long_warmup(const RunSteps& steps) {
  if (steps.schedule.warmup <= steps.total) return;
  say("granule: warning: schedule.warmup has {} steps and the run {}: it ends before optim.lr is reached",
      steps.schedule.warmup, steps.total);
}

/// `request` is of this job: the bytes of a rank are those of `granule plan`.
void print_dry_run(const PlanRequest& request, const RunSteps& steps) {
  const RunConfig& config = request.config;
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  const double flops = training_flops(config.model, config.moe, config.train.batch_size * config.data.seq_len,
                                      config.data.seq_len);
  const nlohmann::ordered_json report{
      {"config", to_json(config)},
      {"parameters", {{"total", counts.total()}, {"activated", counts.activated()}}},
      {"steps", steps.total},
      {"tokens", steps.total * config.train.batch_size * config.data.seq_len},
      {"flops_per_step", flops},
      {"flops", flops * static_cast<double>(steps.total)},
      {"bytes", to_json(plan_memory(request, ExpertLoad::uniform))}};
  print_out(report.dump(2) + "\n");
  say("{:.2f} M parameters, {:.2f} M activated; {} steps of {} tokens, {:.2f} GFLOP each",
      static_cast<double>(counts.total()) / 1e6, static_cast<double>(counts.activated()) / 1e6, steps.total,
      config.train.batch_size * config.data.seq_len, flops / 1e9);
}

/// What a config alone says; of a model whose vocabulary and length do not come from the data.
void print_dry_run_without_data(const PlanRequest& request) {
  if (request.config.model.vocab_size == 0) {
    user_error("the vocabulary size is not known without data", "model.vocab_size",
               "set it, or name the data with data.path");
  }
  print_dry_run(request, resolve_steps(request.config, 0));
}

/// The checkpoint to go on from, if --resume finds one.
std::optional<Checkpoint> checkpoint_to_resume(Communicator& ranks, const TrainArguments& arguments) {
  if (!arguments.resume) return std::nullopt;
  FoundCheckpoint found;
  try {
    found = find_newest_valid(ranks, arguments.out);
  } catch (const NewerCheckpoint& error) {  // on all ranks
    throw AgreedError(error.code(), error.what(), "", "");
  }
  if (ranks.rank() == 0) warn_of_damage(found.passed_over);
  // Starting over would bury what might still be saved by hand.
  if (!found.checkpoint && !found.passed_over.empty()) {
    throw AgreedError(ExitCode::user, "every checkpoint of the run is damaged", arguments.out.string(),
                      "repair one, or move checkpoints/ away to start from the beginning");
  }
  return std::move(found.checkpoint);
}

/// Refuses a run whose checkpoints its disk cannot hold: better now than after hours.
void require_room_for_checkpoints(const TrainArguments& arguments, const RunConfig& config,
                                  const RunSteps& steps) {
  const std::int64_t parameters = count_parameters(config.model, config.moe).total();
  const std::int64_t bytes = 3 * parameters * size_of(config.train.dtype);  // weights and both moments
  const auto there = list_checkpoints(arguments.out);
  const std::int64_t left = steps.total - (there.empty() ? 0 : there.front().step);
  const std::int64_t every = steps.checkpoint_every > 0 ? steps.checkpoint_every : steps.total;
  require_room(arguments.out, bytes, config.checkpoint.keep, (left + every - 1) / every);
}

/// What a run is made from: found by every rank for itself.
struct RunInput {
  std::optional<ModelFiles> start;
  RunConfig config;
  std::optional<RunData> data;
};

/// The model to start from: rank 0 chooses the checkpoint of a run, which another job may be adding to.
std::optional<ModelFiles> open_start(Communicator& ranks, const fs::path& init_from) {
  std::optional<ModelFiles> start;
  if (init_from.empty()) return start;
  fs::path chosen = init_from;
  agree(ranks, [&] {
    if (ranks.rank() != 0) return;
    start = open_model(init_from);
    chosen = start->path();
  });
  chosen = text_of_rank_0(ranks, chosen.string(), "model to start from");
  agree(ranks, [&] {
    if (!start) start = open_model(chosen);
  });
  return start;
}

/// No collective.
RunInput read_input(const TrainArguments& arguments, const Communicator& ranks,
                    std::optional<ModelFiles> start) {
  RunInput input{.start = std::move(start)};
  ConfigOptions options{.ranks = ranks.size()};
  if (input.start) {
    // Model and moe keys alone: how a model was trained is no reason to train on in the same way.
    options.base = ConfigBase{{.model = input.start->config().model, .moe = input.start->config().moe},
                              input.start->path().string()};
  }
  input.config = load_run_config(arguments.config, arguments.overrides, options);
  if (arguments.dry_run && input.config.data.path.empty() && input.config.data.mix.empty()) return input;
  input.data = open_run_data(input.config, digest_check_of(ranks));
  settle_vocabulary(input.config, *input.data, input.start ? input.start->tokenizer_sha256() : std::string());
  return input;
}

/// Ranks on several hosts read files of their own.
void require_same_input(Communicator& ranks, const RunInput& input) {
  auto read = nlohmann::json::array({to_json(input.config)});
  if (input.data) read.push_back(input.data->identity);
  if (input.start && input.start->checkpoint() != nullptr)
    read.push_back(input.start->checkpoint()->sections());
  const std::string text = read.dump();
  const std::string digest = xxh3_of(std::as_bytes(std::span(text)));
  try {
    require_same_on_all(ranks, static_cast<std::int64_t>(std::stoull(digest, nullptr, 16)), "what they read",
                        "input");
  } catch (const Error&) {  // on all ranks
    throw AgreedError(
        ExitCode::out_of_step, "the ranks read different configs, data, or models to start from", "train",
        "give every host the same files under the same paths, and all ranks the same arguments");
  }
}

void dry_run(const RunInput& input, std::int64_t ranks, int threads) {
  const RunConfig& config = input.config;
  const PlanRequest request{.config = config,
                            .ranks = ranks,
                            .threads = threads,
                            .dtype = config.train.dtype,
                            .carrier = ranks > 1 ? PlanRequest::Carrier::mpi : PlanRequest::Carrier::memory};
  if (!input.data) return print_dry_run_without_data(request);
  const RunSteps steps = resolve_steps(config, input.data->train.samples(config.data.seq_len));
  warn_of_long_warmup(steps);
  print_dry_run(request, steps);
}

/// Rank 0's; the others have none.
std::unique_ptr<RunDirectory> open_directory(const TrainArguments& arguments, const RunInput& input) {
  const RunConfig& config = input.config;
  if (arguments.out.empty()) user_error("--out is missing", "command line", "name the directory of the run");
  const RunSteps steps = resolve_steps(config, input.data->train.samples(config.data.seq_len));
  warn_of_long_warmup(steps);
  require_room_for_checkpoints(arguments, config, steps);
  return std::make_unique<RunDirectory>(
      arguments.out, arguments.resume ? RunDirectory::Open::resume : RunDirectory::Open::fresh);
}

/// Of all ranks' threads together.
double peak_flops(Communicator& ranks, Context& context, DType dtype) {
  double flops = 1e9 * fma_ceiling_gflops(context.pool(), dtype, kCeilingSeconds);
  ranks.all_reduce(std::span(&flops, 1), ReduceOp::sum, "ceiling").wait();
  return flops;
}

void train_on(Communicator& ranks, StopSignals& signals, const TrainArguments& arguments) {
  Watchdog watchdog(ranks, watchdog_options());
  std::optional<ModelFiles> start = open_start(ranks, arguments.init_from);
  RunInput input;
  std::unique_ptr<RunDirectory> directory;
  agree(ranks, [&] { input = read_input(arguments, ranks, std::move(start)); });
  require_same_input(ranks, input);
  watchdog.set_seconds(static_cast<double>(input.config.parallel.watchdog_seconds));
  const int threads = thread_count(input.config, ranks_on_these_cores(ranks));
  if (arguments.dry_run) return ranks.rank() == 0 ? dry_run(input, ranks.size(), threads) : void();
  agree(ranks, [&] {
    if (ranks.rank() == 0) directory = open_directory(arguments, input);
  });
  std::optional<Checkpoint> checkpoint = checkpoint_to_resume(ranks, arguments);

  const RunConfig& config = input.config;
  Context context({.threads = threads});
  ShardedModel sharded(context, ranks, config.model, config.moe, config.train.dtype, layout_of(config));
  Trainer trainer(context, sharded, config, *input.data, directory.get(),
                  peak_flops(ranks, context, config.train.dtype));
  agree(ranks, [&] {
    if (checkpoint) {
      trainer.resume(*checkpoint);
    } else if (input.start) {
      sharded.load(input.start->tensors(), input.start->path().string());
    } else {
      sharded.parameters().initialise(static_cast<std::uint64_t>(config.train.seed),
                                      config.model.initializer_range);
    }
  });
  // Their files are mapped: kept open they would hold the space of checkpoints that are removed.
  checkpoint.reset();
  input.start.reset();
  if (directory && !trainer.complete()) {  // else the config stays that of the steps that were done
    directory->write_config(to_toml(config));
    if (input.data->tokenizer) directory->copy_tokenizer(*input.data->tokenizer);
  }
  trainer.run(signals, watchdog);
  ranks.barrier("end")
      .wait();  // a rank without a watchdog would wait for ever for one that hangs in its last save
}

void train(const TrainArguments& arguments) {
  StopSignals signals;  // before MPI and every thread
  run_job_together([&](Communicator& ranks) { train_on(ranks, signals, arguments); });
}

}  // namespace

void add_train_command(CLI::App& program) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = program.add_subcommand("train", "Train a model: the main job");
  command->add_option("config", arguments->config, "run configuration (TOML)")
      ->required()
      ->type_name("CONFIG");
  command->add_option("overrides", arguments->overrides, "keys to override, such as moe.aux_loss_alpha=0.003")
      ->type_name("key=value");
  command->add_option("--out", arguments->out, "run directory: new or empty, unless --resume")
      ->type_name("RUN");
  command->add_flag("--resume", arguments->resume,
                    "go on from the newest valid checkpoint in --out, or start");
  command->add_option("--init-from", arguments->init_from, "start from the weights of this model")
      ->type_name("MODEL");
  command->add_flag("--dry-run", arguments->dry_run,
                    "print the resolved config, parameters, FLOPs and bytes; train nothing");
  command->footer(kExample);
  command->callback([arguments] { train(*arguments); });
}

}  // namespace granule
