// granule train: makes a run directory from a config and data.
#include <optional>

#include "apps/commands/commands.hpp"
#include "apps/jobs/job_record.hpp"
#include "apps/jobs/training_job.hpp"
#include "apps/program/console.hpp"
#include "apps/runs/train_arguments.hpp"
#include "core/error.hpp"
#include "core/interruption.hpp"
#include "data/files/paths.hpp"

namespace granule {
namespace {

constexpr std::size_t kLongestNameInRun = 96;  // checkpoints/tmp.step-…/optim-00001-of-00001.safetensors

void train(TrainArguments arguments) {
  settle(arguments);
  require_path_fits(arguments.out, {.inside = kLongestNameInRun});
  StopSignals signals;  // it is made before MPI and before every thread
  int stopped = 0;
  std::optional<Error> unwritten;
  run_job_together([&](Communicator& ranks) {
    try {
      const JobEnd end = train_together(ranks, signals, arguments);
      stopped = end.stopped;
      if (end.run) unwritten = print_end(*end.run);
    } catch (const Interrupted& set_up) {  // all ranks throw it, because they agree on it
      stopped = set_up.signal;
      if (ranks.rank() != 0) return;
      say("stopped by a signal before a step was taken ({})", name_of_signal(stopped));
      if (!arguments.dry_run) unwritten = print_end(end_before_a_step(arguments.out, stopped));
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
