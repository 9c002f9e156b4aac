// granule sweep: many runs from one config, which can be compared with each other.
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/inputs/same_input.hpp"
#include "apps/program/console.hpp"
#include "apps/records/pace.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/sweep/pairing.hpp"
#include "apps/sweep/plan_sweep.hpp"
#include "apps/sweep/running/sweep_groups.hpp"
#include "core/error.hpp"
#include "core/interruption.hpp"
#include "data/files/atomic_file.hpp"
#include "data/files/digest.hpp"
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

/// Whether an entry does not show that the directory belongs to something else. A sweep that was killed at
/// its beginning leaves some of these.
bool may_be_of_a_sweep(const std::string& name) {
  return name == ".lock" || name == "sweep.toml" || is_unfinished(name);
}

/// The sweep's directory: new, empty, or a sweep's. It is locked while this lives. If nothing is written into
/// a new one, it is removed again.
class SweepDirectory {
 public:
  explicit SweepDirectory(const fs::path& out) : out_(out) {
    if (out.empty()) user_error("--out is missing", "command line", "name the directory of the sweep");
    std::error_code failure;
    is_new_ = fs::create_directories(out, failure);
    if (failure)
      user_error(fmt::format("cannot make the directory: {}", failure.message()), out.string(),
                 "name another --out");
    for (const auto& entry : fs::directory_iterator(out)) {
      if (may_be_of_a_sweep(entry.path().filename().string()) || fs::exists(record_of(out), failure))
        continue;
      user_error("--out is neither empty nor the directory of a sweep", out.string(), "name another one");
    }
    lock_.emplace(out);
    if (!lock_->missing().empty()) say("granule: warning: {}", lock_->missing());
  }
  ~SweepDirectory() {
    lock_.reset();
    std::error_code failure;
    if (is_new_ && !fs::exists(record_of(out_), failure)) fs::remove_all(out_, failure);
  }
  SweepDirectory(const SweepDirectory&) = delete;
  SweepDirectory& operator=(const SweepDirectory&) = delete;

 private:
  fs::path out_;
  bool is_new_ = false;
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
    say("granule: warning: {} cannot be compared: {}; remove its directory to train it again",
        unpaired.cell->name, unpaired.reason);
  }
}

/// Prints the line on stdout. Throws an error if cells have failed and no signal stopped the sweep.
void finish(const SweepPlan& plan, const fs::path& out, SweepOutcome outcome) {
  mark_unpaired(plan, out, outcome.cells);
  write_record(out, plan, outcome.cells);
  const Json failed = failures_of(plan, outcome.cells);
  const auto complete = std::ranges::count_if(outcome.cells, &CellStatus::complete);
  const auto all = static_cast<std::ptrdiff_t>(outcome.cells.size());
  const auto unwritten =
      print_result({{"sweep", as_utf8(out.string())},
                    {"cells", all},
                    {"complete", complete},
                    {"failed", failed},
                    {"stopped_by", outcome.stopped == 0 ? Json() : Json(name_of_signal(outcome.stopped))}});
  if (outcome.stopped != 0) return;
  if (complete != all) {
    const std::string what =
        failed.empty() ? "some cells were stopped" : fmt::format("{} of {} cells failed", failed.size(), all);
    throw Error(ExitCode::failure, what, out.string(),
                "the reasons are above and in sweep.json; the same command tries these cells again");
  }
  if (unwritten) throw Error(*unwritten);
}

/// Ranks must decide alike. They take what rank 0 predicts and has found.
void take_plan_of_rank_0(Communicator& world, SweepPlan& plan) {
  std::vector<double> facts;
  for (std::size_t i = 0; i < plan.seconds.size(); ++i) {
    facts.push_back(world.rank() == 0 ? plan.seconds[i] : 0.0);
    facts.push_back(world.rank() == 0 ? static_cast<double>(plan.found[i].state) : 0.0);
  }
  world.all_reduce(std::span(facts), ReduceOp::sum, "sweep").wait();
  for (std::size_t i = 0; i < plan.seconds.size(); ++i) {
    plan.seconds[i] = facts[2 * i];
    plan.found[i].state = static_cast<CellState>(facts[2 * i + 1]);
  }
}

/// Every rank reads the config for itself, and all must have the same cells.
void require_same_cells(Communicator& world, const SweepPlan& plan) {
  std::string text;
  for (const Cell& cell : plan.cells.all) text += cell.name + '\n' + to_toml(cell.config);
  const std::string digest = xxh3_of(std::as_bytes(std::span<const char>(text)));
  require_same_on_all(world, static_cast<std::int64_t>(std::stoull(digest, nullptr, 16)),
                      "the cells of the sweep", "sweep");
}

SweepRequest request_of(const SweepArguments& arguments) {
  return {.config = arguments.config,
          .out = arguments.out,
          .overrides = arguments.overrides,
          .ranks_here = arguments.jobs};
}

void begin(const SweepPlan& plan, const fs::path& out, const fs::path& config) {
  say_plan(plan);
  refuse_changed_cells(plan, out);
  static_cast<void>(copy_durably(config, out / "sweep.toml"));
  write_record(out, plan, plan.found);
}

void show(const SweepPlan& plan) {
  say_plan(plan);
  print_json(to_json(plan, plan.found), 2);
}

/// Returns the signal that stopped the sweep, or 0.
int sweep_alone(const SweepArguments& arguments, StopSignals& signals) {
  std::optional<Interruptible> planning(std::in_place, [&signals] { return signals.stop(); });
  if (arguments.dry_run) {
    show(plan_sweep(request_of(arguments)));
    return signals.stop();
  }
  const SweepDirectory directory(arguments.out);
  const SweepPlan plan = plan_sweep(request_of(arguments));
  begin(plan, arguments.out, arguments.config);
  planning.reset();
  const SweepOutcome outcome = run_as_processes(plan, arguments.out, arguments.jobs, signals);
  finish(plan, arguments.out, outcome);
  return outcome.stopped;
}

/// Only rank 0 predicts, and only it writes into the sweep's directory.
SweepPlan plan_together(Communicator& world, const Hosts& hosts, const SweepArguments& arguments) {
  SweepRequest request = request_of(arguments);
  request.ranks = world.size() / arguments.jobs;
  request.ranks_here = hosts.ranks_here();
  request.predict = world.rank() == 0 ? Predict::yes : Predict::no;
  SweepPlan plan;
  agree(world, [&] { plan = plan_sweep(request); });
  require_same_cells(world, plan);
  take_plan_of_rank_0(world, plan);
  return plan;
}

int sweep_together(Communicator& world, const SweepArguments& arguments, StopSignals& signals) {
  const Hosts hosts(world);
  require_same_options(world, hosts,
                       {{"--out", arguments.out.string()},
                        {"--jobs", std::to_string(arguments.jobs)},
                        {"--dry-run", arguments.dry_run ? "it" : ""}});
  if (world.size() % arguments.jobs != 0)
    throw AgreedError(ExitCode::user,
                      fmt::format("--jobs {} does not divide {} ranks", arguments.jobs, world.size()),
                      "command line", "give each cell as many ranks");
  std::optional<Interruptible> planning(std::in_place, [&signals] { return signals.stop(); });
  std::optional<SweepDirectory> directory;
  agree(world, [&] {
    if (world.rank() == 0 && !arguments.dry_run) directory.emplace(arguments.out);
  });
  const SweepPlan plan = plan_together(world, hosts, arguments);
  agree(world, [&] {
    if (world.rank() == 0 && arguments.dry_run) show(plan);
    if (world.rank() == 0 && !arguments.dry_run) begin(plan, arguments.out, arguments.config);
  });
  planning.reset();
  if (arguments.dry_run) return 0;
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
  const auto noting_stops = [&](const std::function<int()>& body) {
    try {
      stopped = body();
    } catch (const Interrupted& planning) {  // all ranks throw it, because they agree on it
      stopped = planning.signal;
    }
  };
  if (!under_mpi_launcher()) {
    noting_stops([&] { return sweep_alone(arguments, signals); });
  } else {
    run_job_together([&](Communicator& world) {
      noting_stops([&] { return sweep_together(world, arguments, signals); });
    });
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
