// granule sweep: many runs from one config, which can be compared with each other.
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/program/console.hpp"
#include "apps/records/pace.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/sweep/pairing.hpp"
#include "apps/sweep/plan_sweep.hpp"
#include "apps/sweep/running/sweep_groups.hpp"
#include "core/error.hpp"
#include "data/files/paths.hpp"
#include "data/files/run_lock.hpp"
#include "distributed/agreement.hpp"
#include "distributed/mpi/launcher.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct SweepArguments {
  fs::path config, out;
  std::vector<std::string> overrides;
  int jobs = 1;
  bool dry_run = false;
};

constexpr std::size_t kLongestNameInSweep = 250;  // cells/NAME/checkpoints/…

constexpr const char* kExample =
    "Example:\n  granule sweep configs/ablations/alpha.toml data.path=DATA --out sweeps/alpha\n"
    "This prints the cells, their budgets and a time, and runs nothing:\n"
    "  granule sweep configs/ablations/alpha.toml data.path=DATA --dry-run\n"
    "The same command goes on with a sweep that was stopped. Complete cells are kept.\n"
    "Four ranks train two cells at once, each on two ranks:\n"
    "  mpirun -np 4 granule sweep configs/ablations/alpha.toml data.path=DATA --out sweeps/alpha --jobs 2\n"
    "Then look at the result: granule report sweeps/alpha --out report.html\n"
    "docs/sweep.md describes the table [sweep], the directory and the exit codes.";

/// The sweep's directory: new, empty, or a sweep's. It is locked while this lives.
class SweepDirectory {
 public:
  explicit SweepDirectory(const fs::path& out) {
    if (out.empty()) user_error("--out is missing", "command line", "name the directory of the sweep");
    std::error_code failure;
    fs::create_directories(out, failure);
    if (failure)
      user_error(fmt::format("cannot make the directory: {}", failure.message()), out.string(),
                 "name another --out");
    for (const auto& entry : fs::directory_iterator(out)) {
      const std::string name = entry.path().filename().string();
      if (name == ".lock" || fs::exists(record_of(out), failure)) continue;
      user_error("--out is neither empty nor the directory of a sweep", out.string(), "name another one");
    }
    lock_.emplace(out);
    if (!lock_->missing().empty()) say("granule: warning: {}", lock_->missing());
  }

 private:
  std::optional<RunLock> lock_;
};

void say_plan(const SweepPlan& plan) {
  print_err(to_text(plan));
  double left = 0.0;
  for (const double seconds : plan.seconds) left += seconds;
  say("{} cells; about {} on this machine, predicted from rehearsals of their steps", plan.cells.all.size(),
      duration_text(left));
  for (const std::string& name : plan.obsolete)
    say("granule: warning: {} is no cell of this sweep any more; its directory stays", name);
}

/// What has failed or could not be compared, by the names of cells.
Json failures_of(const SweepPlan& plan, const std::vector<CellStatus>& cells) {
  Json failed = Json::array();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].state != CellState::failed) continue;
    failed.push_back({{"cell", plan.cells.all[i].name},
                      {"exit_code", cells[i].exit_code},
                      {"error", as_utf8(cells[i].error)}});
  }
  return failed;
}

/// A cell that cannot be compared has failed.
void mark_unpaired(const SweepPlan& plan, const fs::path& out, std::vector<CellStatus>& cells) {
  for (const Unpaired& unpaired : find_unpaired(out, plan.cells.all)) {
    CellStatus& status = cells[static_cast<std::size_t>(unpaired.cell - plan.cells.all.data())];
    status = {.state = CellState::failed,
              .exit_code = static_cast<int>(ExitCode::failure),
              .error = unpaired.reason};
    say("granule: warning: {} cannot be compared: {}", unpaired.cell->name, unpaired.reason);
  }
}

/// Prints the line on stdout. Throws an error if cells have failed and no signal stopped the sweep.
void finish(const SweepPlan& plan, const fs::path& out, SweepOutcome outcome) {
  mark_unpaired(plan, out, outcome.cells);
  write_record(out, plan, outcome.cells);
  const Json failed = failures_of(plan, outcome.cells);
  const auto complete = std::ranges::count_if(outcome.cells, &CellStatus::complete);
  const auto all = static_cast<std::ptrdiff_t>(outcome.cells.size());
  print_json(Json{{"sweep", as_utf8(out.string())},
                  {"cells", all},
                  {"complete", complete},
                  {"failed", failed},
                  {"stopped_by", outcome.stopped == 0 ? Json() : Json(name_of_signal(outcome.stopped))}});
  if (outcome.stopped != 0 || complete == all) return;
  const std::string what =
      failed.empty() ? "some cells were stopped" : fmt::format("{} of {} cells failed", failed.size(), all);
  throw Error(ExitCode::failure, what, out.string(),
              "their errors are above and in sweep.json; the same command tries them again");
}

/// Predictions differ between ranks, and all must decide alike. They take those of rank 0.
void take_plan_of_rank_0(Communicator& world, SweepPlan& plan) {
  std::vector<double> facts;
  for (std::size_t i = 0; i < plan.seconds.size(); ++i) {
    facts.push_back(world.rank() == 0 ? plan.seconds[i] : 0.0);
    facts.push_back(world.rank() == 0 && plan.found[i].complete() ? 1.0 : 0.0);
  }
  world.all_reduce(std::span(facts), ReduceOp::sum, "sweep").wait();
  for (std::size_t i = 0; i < plan.seconds.size(); ++i) {
    plan.seconds[i] = facts[2 * i];
    plan.found[i].state = facts[2 * i + 1] > 0.0 ? CellState::complete : CellState::waiting;
  }
}

SweepRequest request_of(const SweepArguments& arguments, std::int64_t ranks) {
  return {.config = arguments.config, .out = arguments.out, .overrides = arguments.overrides, .ranks = ranks};
}

void dry_run(const SweepArguments& arguments, std::int64_t ranks) {
  const SweepPlan plan = plan_sweep(request_of(arguments, ranks));
  say_plan(plan);
  print_json(to_json(plan, plan.found), 2);
}

void begin(const SweepPlan& plan, const fs::path& out, const fs::path& config) {
  refuse_changed_cells(plan, out);
  say_plan(plan);
  static_cast<void>(copy_durably(config, out / "sweep.toml"));
  write_record(out, plan, plan.found);
}

/// Returns the signal that stopped the sweep, or 0.
int sweep_alone(const SweepArguments& arguments, StopSignals& signals) {
  if (arguments.dry_run) {
    dry_run(arguments, 1);
    return signals.stop();
  }
  const SweepPlan plan = plan_sweep(request_of(arguments, 1));
  const SweepDirectory directory(arguments.out);
  begin(plan, arguments.out, arguments.config);
  const SweepOutcome outcome = run_as_processes(plan, arguments.out, arguments.jobs, signals);
  finish(plan, arguments.out, outcome);
  return outcome.stopped;
}

int sweep_together(Communicator& world, const SweepArguments& arguments, StopSignals& signals) {
  if (world.size() % arguments.jobs != 0)
    throw AgreedError(ExitCode::user,
                      fmt::format("--jobs {} does not divide {} ranks", arguments.jobs, world.size()),
                      "command line", "give each cell as many ranks");
  const std::int64_t ranks = world.size() / arguments.jobs;
  std::optional<SweepDirectory> directory;
  SweepPlan plan;
  agree(world, [&] {
    if (arguments.dry_run && world.rank() == 0) return dry_run(arguments, ranks);
    if (arguments.dry_run) return;
    plan = plan_sweep(request_of(arguments, ranks));
    if (world.rank() != 0) return;
    directory.emplace(arguments.out);
    begin(plan, arguments.out, arguments.config);
  });
  if (arguments.dry_run) return 0;
  take_plan_of_rank_0(world, plan);
  const SweepOutcome outcome = run_on_groups(world, plan, arguments.out, arguments.jobs, signals);
  agree(world, [&] {
    if (world.rank() == 0) finish(plan, arguments.out, outcome);
  });
  return outcome.stopped;
}

void sweep(const SweepArguments& arguments) {
  require_path_fits(arguments.out, {.inside = kLongestNameInSweep});
  StopSignals signals;  // it is made before MPI and before every thread
  int stopped = 0;
  if (!under_mpi_launcher()) {
    stopped = sweep_alone(arguments, signals);
  } else {
    run_job_together([&](Communicator& world) { stopped = sweep_together(world, arguments, signals); });
  }
  if (stopped != 0) throw StoppedBySignal{stopped};
}

}  // namespace

void add_sweep_command(CLI::App& program) {
  auto arguments = std::make_shared<SweepArguments>();
  CLI::App& command =
      *program.add_subcommand("sweep", "Train many runs that can be compared, from one config.");
  command
      .add_option("config", arguments->config, "The sweep's configuration: a run's, with a table [sweep].")
      ->required()
      ->type_name("CONFIG");
  command
      .add_option("overrides", arguments->overrides,
                  "Keys to override in every cell, such as data.path=DATA, or lists, such as "
                  "sweep.seeds=[0,1].")
      ->type_name("key=value");
  command
      .add_option("--out", arguments->out,
                  "The directory of the sweep: new, empty, or that of a sweep to go on with.")
      ->type_name("DIR");
  command
      .add_option("--jobs", arguments->jobs,
                  "How many cells are trained at once. They share the cores, or the ranks.")
      ->type_name("N")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_flag("--dry-run", arguments->dry_run,
                   "Print the cells, their budgets and a predicted time, and train nothing.");
  command.footer(kExample);
  command.callback([arguments] { sweep(*arguments); });
}

}  // namespace granule
