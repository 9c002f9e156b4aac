// granule train: makes a run directory from a config and data.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/inputs/data_warnings.hpp"
#include "apps/inputs/same_input.hpp"
#include "apps/models/carried_files.hpp"
#include "apps/models/generation_settings.hpp"
#include "apps/models/model_files.hpp"
#include "apps/planning/host_memory.hpp"
#include "apps/planning/plan.hpp"
#include "apps/program/console.hpp"
#include "apps/runs/run_start.hpp"
#include "apps/runs/shared_directory.hpp"
#include "apps/runs/train_arguments.hpp"
#include "apps/training/job_record.hpp"
#include "apps/training/learning_rate_notes.hpp"
#include "apps/training/split_rows.hpp"
#include "apps/training/trainer.hpp"
#include "core/address_space.hpp"
#include "core/error.hpp"
#include "core/interruption.hpp"
#include "core/kernels/ceiling.hpp"
#include "data/files/paths.hpp"
#include "distributed/agreement.hpp"
#include "distributed/mpi/launcher.hpp"
#include "moe/model/counts.hpp"
#include "moe/training/sharded_model.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestNameInRun = 96;  // checkpoints/tmp.step-…/optim-00001-of-00001.safetensors
constexpr double kCeilingSeconds = 0.05;       // enough for the figure that utilisation refers to

void warn_of_long_warmup(const RunSteps& steps) {
  if (steps.schedule.warmup <= steps.total) return;
  say("granule: warning: schedule.warmup has {} steps and the run has {}: it ends before the learning rate "
      "reaches optim.lr",
      steps.schedule.warmup, steps.total);
}

/// An endless run has more tokens than an integer can count. Then the result is a floating-point number.
nlohmann::ordered_json tokens_of(const RunConfig& config, std::int64_t steps) {
  const std::int64_t of_step = config.train.batch_size * config.data.seq_len;
  std::int64_t tokens = 0;
  if (!__builtin_mul_overflow(steps, of_step, &tokens)) return tokens;
  return static_cast<double>(steps) * static_cast<double>(of_step);
}

/// `request` describes this job, and the bytes of a rank are those of `granule plan`.
void print_dry_run(const PlanRequest& request, const RunSteps& steps) {
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
  } catch (const NewerCheckpoint& error) {  // all ranks throw it
    throw AgreedError(error.code(), error.what(), "", "");
  }
  if (ranks.rank() == 0) warn_of_damage(found.passed_over);
  // A new start would overwrite what might still be saved by hand.
  if (!found.checkpoint && !found.passed_over.empty()) {
    throw AgreedError(ExitCode::user, "every checkpoint of the run is damaged", arguments.out.string(),
                      "repair one; to start from the beginning, give another --out");
  }
  return std::move(found.checkpoint);
}

/// Throws an error if the disk cannot hold the run's checkpoints. It is better to say so now than after
/// hours.
void require_room_for_checkpoints(const TrainArguments& arguments, const RunConfig& config,
                                  const RunSteps& steps) {
  const std::int64_t parameters = count_parameters(config.model, config.moe).total();
  const std::int64_t bytes = 3 * parameters * size_of(config.train.dtype);  // the weights and two moments
  const auto there = list_checkpoints(arguments.out);
  const std::int64_t left = steps.total - (there.empty() ? 0 : there.front().step);
  const std::int64_t every = steps.checkpoint_every > 0 ? steps.checkpoint_every : steps.total;
  require_room(arguments.out, bytes, config.checkpoint.keep, (left + every - 1) / every);
}

/// What a run is made from. Every rank reads it for itself.
struct RunInput {
  RunStart start;
  RunConfig config;
  std::optional<RunData> data;
};

/// It is not a collective.
RunInput read_input(const TrainArguments& arguments, std::int64_t ranks, DigestCheck digests,
                    RunStart start) {
  RunInput input{.start = std::move(start)};
  input.config = config_of_run(arguments, input.start, ranks);
  if (arguments.dry_run && input.config.data.path.empty() && input.config.data.mix.empty()) return input;
  input.data = open_run_data(input.config, digests);
  const auto& files = input.start.files;
  const bool goes_on = arguments.resume && !list_checkpoints(arguments.out).empty();
  settle_vocabulary(input.config, *input.data, files ? files->tokenizer_sha256() : std::string(),
                    files || goes_on ? VocabularyOf::model : VocabularyOf::config);
  return input;
}

/// `run`, `run/` and `./run` are the same.
std::string plain(const fs::path& path) {
  return (path / "").lexically_normal().parent_path().string();
}

/// What a rank does not read, and would otherwise take from rank 0.
std::vector<Option> options_of(const TrainArguments& arguments) {
  return {{"--out", plain(arguments.out)},
          {"--init-from", plain(arguments.init_from)},
          {"--fork", arguments.fork},
          {"--resume", arguments.resume ? "it" : ""},
          {"--dry-run", arguments.dry_run ? "it" : ""}};
}

/// Every rank reads for itself, and then all make sure that they have read the same.
RunInput read_together(Communicator& ranks, const Hosts& hosts, const TrainArguments& arguments) {
  require_same_options(ranks, hosts, options_of(arguments));
  RunStart start = open_start(ranks, arguments);
  RunInput input;
  agree(ranks,
        [&] { input = read_input(arguments, ranks.size(), digest_check_of(hosts), std::move(start)); });
  const auto& files = input.start.files;
  require_same_input(ranks, hosts,
                     {.config = input.config,
                      .data = input.data ? &*input.data : nullptr,
                      .start = files ? &*files : nullptr});
  if (ranks.rank() == 0 && input.data) warn_of_data(input.config, input.data->train);
  return input;
}

PlanRequest plan_of(const RunConfig& config, std::int64_t ranks, int threads) {
  return {.config = config,
          .ranks = ranks,
          .threads = threads,
          .dtype = config.train.dtype,
          .carrier = ranks > 1 ? Carrier::messages : Carrier::memory};
}

/// Throws an error if a decay would never begin. If the run has begun with such a schedule, it only warns.
void check_decay(const RunSteps& steps, bool has_begun) {
  const auto late = decay_after_the_run(steps);
  if (!late) return;
  if (has_begun) return say("granule: warning: {}: there will be no decay", *late);
  user_error(*late, "schedule.decay_at",
             "give a point within the run, such as 0.8; for a run that never decays, give its last step");
}

void dry_run(const RunInput& input, std::int64_t ranks, int threads) {
  const RunConfig& config = input.config;
  const PlanRequest request = plan_of(config, ranks, threads);
  if (!input.data) return print_dry_run_without_data(request);
  const RunSteps steps = resolve_steps(config, input.data->train.samples(config.data.seq_len));
  warn_of_long_warmup(steps);
  check_decay(steps, false);
  print_dry_run(request, steps);
}

/// Only rank 0 has a run directory.
std::unique_ptr<RunDirectory> open_directory(const TrainArguments& arguments, const RunInput& input) {
  const RunConfig& config = input.config;
  if (arguments.out.empty()) user_error("--out is missing", "command line", "name the directory of the run");
  const RunSteps steps = resolve_steps(config, input.data->train.samples(config.data.seq_len));
  warn_of_long_warmup(steps);
  check_decay(steps, arguments.resume && !list_checkpoints(arguments.out).empty());
  const bool has_checkpoints = fs::exists(checkpoints_of(arguments.out));
  // A new run checks this before it writes anything. A resumed run checks it after what a killed save left is
  // removed, because that may fill the disk.
  if (!has_checkpoints) require_room_for_checkpoints(arguments, config, steps);
  auto directory = std::make_unique<RunDirectory>(
      arguments.out, arguments.resume ? RunDirectory::Open::resume : RunDirectory::Open::fresh);
  if (has_checkpoints) {
    sweep_leftovers(arguments.out, [&](const std::string& line) { directory->log("warning: " + line); });
    require_room_for_checkpoints(arguments, config, steps);
  }
  return directory;
}

/// The rate of the threads of all ranks together.
double peak_flops(Communicator& ranks, Context& context, DType dtype) {
  double flops = 1e9 * fma_ceiling_gflops(context.pool(), dtype, kCeilingSeconds);
  ranks.all_reduce(std::span(&flops, 1), ReduceOp::sum, "ceiling").wait();
  return flops;
}

/// Every rank checks its own host before anything large is allocated.
void check_memory(Communicator& ranks, const Hosts& hosts, const RunConfig& config, int threads) {
  agree(ranks, [&] {
    if (const auto room = memory_room())
      require_memory(plan_of(config, ranks.size(), threads), hosts.ranks_here(), *room);
    if (const auto left = address_space_left())
      require_memory(plan_of(config, ranks.size(), threads), 1,
                     {*left, "the limit of this process (ulimit -v or -d)"});
  });
}

/// Fills in the values, and the rest of the state if there is one.
void fill(Trainer& trainer, ShardedModel& sharded, const RunInput& input,
          const std::optional<Checkpoint>& checkpoint) {
  const auto& files = input.start.files;
  if (checkpoint) {
    trainer.resume(*checkpoint);
  } else if (files && input.start.kind == RunStart::Kind::fork) {
    trainer.fork(*files->checkpoint());
  } else if (files) {
    sharded.load(files->tensors(), files->path().string());
  } else {
    sharded.parameters().initialise(static_cast<std::uint64_t>(input.config.train.seed),
                                    input.config.model.initializer_range);
  }
}

/// Files of the model that hold for the trained weights too. A run has no config.json, so a list of EOS ids
/// goes into the file that has the others' settings.
void take_over(RunDirectory& directory, const ModelFiles& source) {
  const std::vector<std::filesystem::path> files = files_to_take_over(source.companions());
  directory.take_over(files);
  const auto is_settings = [](const auto& file) { return file.filename() == kGenerationConfigFile; };
  const nlohmann::json config = source.hf_document();
  const nlohmann::json eos = config.value("eos_token_id", nlohmann::json());
  if (std::ranges::any_of(files, is_settings) || !eos.is_array() || eos.empty()) return;
  directory.take_over(kGenerationConfigFile, generation_settings(config).dump(2) + "\n");
}

/// Brings the run directory into its state before the first step. That of a complete run stays as it was.
void begin_records(RunDirectory& directory, const RunInput& input, const Trainer& trainer,
                   JobRecord& record) {
  if (trainer.complete()) return;
  if (trainer.saved() < 0 && !input.start.before.is_null())
    directory.log("the run has saved no checkpoint yet, so it begins again");
  directory.write_config(to_toml(input.config));
  if (input.data->tokenizer) directory.copy_tokenizer(*input.data->tokenizer);
  if (input.start.files) take_over(directory, *input.start.files);
  record.begin(directory.path(), input.start, trainer, input.config, input.data->identity);
}

/// Without a watchdog, a rank would wait for ever for one that hangs in its last save.
void meet_at_end(Communicator& ranks) {
  ranks.barrier("end").wait();
}

/// Returns the signal that stopped the run, or 0. Ranks leave in good order before `unwritten` is thrown.
int train_on(Communicator& ranks, StopSignals& signals, const TrainArguments& arguments,
             std::optional<Error>& unwritten) {
  Watchdog watchdog(ranks, watchdog_options());
  // Before the first step there is nothing to save, so a signal may stop all reading here at once.
  std::optional<Interruptible> set_up(std::in_place, [&signals] { return signals.stop(); });
  const Hosts hosts(ranks);
  RunInput input = read_together(ranks, hosts, arguments);
  watchdog.set_seconds(static_cast<double>(input.config.parallel.watchdog_seconds));
  const int threads = thread_count(input.config, ranks_on_these_cores(ranks));
  if (arguments.dry_run) {
    if (ranks.rank() == 0) dry_run(input, ranks.size(), threads);
    return 0;
  }
  std::unique_ptr<RunDirectory> directory;
  agree(ranks, [&] {
    if (ranks.rank() == 0) directory = open_directory(arguments, input);
  });
  check_shared(ranks, hosts, arguments.out, arguments.resume ? Going::on : Going::from_the_beginning);
  warn_of_split_rows(ranks, hosts, input.config.parallel.ep);
  std::optional<Checkpoint> checkpoint = checkpoint_to_resume(ranks, arguments);
  check_memory(ranks, hosts, input.config, threads);
  JobRecord record(ranks, hosts, threads);
  const std::string job = ranks_and_threads(ranks, hosts, threads);

  const RunConfig& config = input.config;
  Context context(context_options(config, threads));
  ShardedModel sharded(context, ranks, config.model, config.moe, config.train.dtype, config.parallel);
  Trainer trainer(context, sharded, config, *input.data, directory.get(),
                  peak_flops(ranks, context, config.train.dtype), job);
  agree(ranks, [&] { fill(trainer, sharded, input, checkpoint); });
  if (directory) begin_records(*directory, input, trainer, record);
  trainer.set_provenance(record.provenance());
  // The files of the checkpoint are mapped. If they stayed open, removed checkpoints would keep their space
  // on the disk.
  checkpoint.reset();
  input.start.files.reset();
  set_up.reset();
  const int stopped = record.run(trainer, [&] { return trainer.run(signals, watchdog); });
  meet_at_end(ranks);
  if (directory) unwritten = record.print_end(directory->path(), trainer);
  return stopped;
}

void train(TrainArguments arguments) {
  settle(arguments);
  require_path_fits(arguments.out, {.inside = kLongestNameInRun});
  StopSignals signals;  // it is made before MPI and before every thread
  int stopped = 0;
  std::optional<Error> unwritten;
  run_job_together([&](Communicator& ranks) {
    try {
      stopped = train_on(ranks, signals, arguments, unwritten);
    } catch (const Interrupted& set_up) {  // all ranks throw it, because they agree on it
      stopped = set_up.signal;
      if (ranks.rank() != 0) return;
      say("stopped by a signal before a step was taken ({})", name_of_signal(stopped));
      if (!arguments.dry_run) unwritten = print_end_before_a_step(arguments.out, stopped);
    }
  });
  if (unwritten) throw Error(*unwritten);
  if (stopped != 0) throw StoppedBySignal{stopped};
}

}  // namespace

void add_train_command(CLI::App& program) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = program.add_subcommand("train", "Train a model.");
  add_train_options(*command, *arguments);
  command->callback([arguments] { train(*arguments); });
}

}  // namespace granule
