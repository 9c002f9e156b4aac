#include "apps/jobs/training_job.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/jobs/dry_run.hpp"
#include "apps/jobs/gpu_of_rank.hpp"
#include "apps/jobs/job_record.hpp"
#include "apps/jobs/run_input.hpp"
#include "apps/jobs/schedule_check.hpp"
#include "apps/jobs/split_rows.hpp"
#include "apps/jobs/start_digests.hpp"
#include "apps/models/carried_files.hpp"
#include "apps/models/generation_settings.hpp"
#include "apps/planning/device.hpp"
#include "apps/planning/host_memory.hpp"
#include "apps/program/console.hpp"
#include "apps/runs/shared_directory.hpp"
#include "apps/training/trainer.hpp"
#include "core/address_space.hpp"
#include "core/error.hpp"
#include "core/interruption.hpp"
#include "core/kernels/ceiling.hpp"
#include "core/kernels/instruction_set.hpp"
#include "distributed/agreement.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "distributed/mpi/launcher.hpp"
#include "moe/model/counts.hpp"
#include "moe/training/sharded_model.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr double kCeilingSeconds = 0.05;  // enough for the figure that utilisation refers to

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
  const std::int64_t bytes =
      3 * parameters * size_of(Precision(config.train.dtype).masters);  // the weights and two moments
  const auto there = list_checkpoints(arguments.out);
  const std::int64_t left = steps.total - (there.empty() ? 0 : there.front().step);
  const std::int64_t every = steps.checkpoint_every > 0 ? steps.checkpoint_every : steps.total;
  require_room(arguments.out, bytes, config.checkpoint.keep, (left + every - 1) / every);
}

/// Only rank 0 has a run directory.
std::unique_ptr<RunDirectory> open_directory(const TrainArguments& arguments, const RunInput& input) {
  const RunConfig& config = input.config;
  if (arguments.out.empty()) user_error("--out is missing", "command line", "name the directory of the run");
  const RunSteps steps = resolve_steps(config, input.data->train.samples(config.data.seq_len));
  check_schedule(steps, arguments.resume && !list_checkpoints(arguments.out).empty());
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

/// The rate of the threads, or of the GPUs, of all ranks together. 0 if a GPU's is not known.
double peak_flops(Communicator& ranks, Context& context, DType dtype) {
  const double own = context.runtime() != nullptr
                         ? peak_of_gpu(dtype).value_or(0.0)
                         : 1e9 * fma_ceiling_gflops(context.pool(), dtype, kCeilingSeconds);
  std::array<double, 2> sums{own, own > 0.0 ? 1.0 : 0.0};
  ranks.all_reduce(std::span(sums), ReduceOp::sum, "ceiling").wait();
  return sums[1] == ranks.size() ? sums[0] : 0.0;
}

/// How the CPU multiplies bf16, which decides the speed of such a run.
std::string units_text(const RunConfig::Train& train) {
  if (train.dtype != DType::bf16 || train.device != DeviceType::cpu) return "";
  switch (bf16_units()) {
    case Bf16Units::tiles:
      return ", bf16 tiles (AMX)";
    case Bf16Units::vectors:
      return ", bf16 units";
    case Bf16Units::none:
      break;
  }
  return ", bf16 units not used (products in f32)";
}

/// How tensors on GPUs get from rank to rank, which decides the speed of such a run.
std::string carrier_text(const Communicator& ranks, const RunConfig& config, const CarriedTensors& carried) {
  if (config.train.device != DeviceType::cuda || ranks.size() == 1) return "";
  return carried.by_device() ? ", tensors by NCCL" : ", tensors through memory of the host";
}

/// What the job computes with, for its log. A collective.
std::string job_text(Communicator& ranks, const Hosts& hosts, int threads, const RunConfig& config,
                     const CarriedTensors& carried) {
  return ranks_and_threads(ranks, hosts, threads) + units_text(config.train) +
         carrier_text(ranks, config, carried);
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

/// On rank 0. The others have none.
std::unique_ptr<RunDirectory> open_together(Communicator& ranks, const TrainArguments& arguments,
                                            const RunInput& input) {
  std::unique_ptr<RunDirectory> directory;
  agree(ranks, [&] {
    if (ranks.rank() == 0) directory = open_directory(arguments, input);
  });
  return directory;
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

}  // namespace

JobEnd train_together(Communicator& ranks, StopSignals& signals, const TrainArguments& arguments) {
  Watchdog watchdog(ranks, watchdog_options());
  // Before the first step there is nothing to save, so a signal may stop all reading here at once.
  std::optional<Interruptible> set_up(std::in_place, [&signals] { return signals.stop(); });
  const Hosts hosts(ranks);
  RunInput input = read_together(ranks, hosts, arguments);
  watchdog.set_seconds(static_cast<double>(input.config.parallel.watchdog_seconds));
  const int threads = thread_count(input.config, ranks_on_these_cores(ranks));
  if (arguments.dry_run) {
    if (ranks.rank() == 0) print_dry_run(input, ranks.size(), threads);
    return {};
  }
  const int gpu = gpu_of_rank(ranks, input.config, arguments.place_on_host.value_or(hosts.place_on_host()));
  const std::unique_ptr<RunDirectory> directory = open_together(ranks, arguments, input);
  check_shared(ranks, hosts, arguments.out, arguments.resume ? Going::on : Going::from_the_beginning);
  warn_of_split_rows(ranks, hosts, input.config.parallel.ep);
  std::optional<Checkpoint> checkpoint = checkpoint_to_resume(ranks, arguments);
  check_memory(ranks, hosts, input.config, threads);
  JobRecord record(ranks, hosts, threads);
  const RunConfig& config = input.config;
  Context context(context_options(config, threads, gpu));
  const CarriedTensors carried(ranks, context, carrier_options(config));
  const std::string job = job_text(ranks, hosts, threads, config, carried);
  ShardedModel sharded(context, ranks, config.model, config.moe, config.train.dtype, config.parallel);
  Trainer trainer(context, sharded, config, *input.data, directory.get(),
                  peak_flops(ranks, context, config.train.dtype), job);
  agree(ranks, [&] { fill(trainer, sharded, input, checkpoint); });
  if (arguments.digests && trainer.saved() < 0)
    write_start_digests(sharded, config, *input.data, directory ? directory->path() : fs::path());
  if (directory) begin_records(*directory, input, trainer, record);
  trainer.set_provenance(record.provenance());
  // The files of the checkpoint are mapped. If they stayed open, removed checkpoints would keep their space
  // on the disk.
  checkpoint.reset();
  input.start.files.reset();
  set_up.reset();
  JobEnd end{.stopped = record.run(trainer, [&] { return trainer.run(signals, watchdog); })};
  meet_at_end(ranks);
  if (directory) end.run = record.end_of(directory->path(), trainer);
  return end;
}

}  // namespace granule
