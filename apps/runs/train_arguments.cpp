#include "apps/runs/train_arguments.hpp"

#include "apps/program/usage.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFlag = "true";  // the value of an option without one

constexpr const char* kExample =
    "Example:\n  granule train configs/tiny.toml data.path=DATA train.steps=200 --out runs/tiny\n"
    "A run that was stopped goes on with its own config, or with other values of the keys that may change:\n"
    "  granule train --resume runs/tiny\n"
    "  granule train --resume runs/tiny train.steps=400\n"
    "A requeued job passes --resume every time. It goes on from the newest checkpoint, or starts:\n"
    "  granule train configs/tiny.toml data.path=DATA --out runs/tiny --resume\n"
    "A new run can start from the weights and the optimizer state of another run, with another schedule:\n"
    "  granule train --fork runs/tiny:100 --out runs/decay schedule.kind=wsd schedule.decay_at=100\n"
    "This uses several ranks:\n  mpirun -np 4 granule train configs/tiny.toml data.path=DATA "
    "train.micro_batch_size=4 "
    "--out runs/tiny\n"
    "OpenMPI refuses root without --allow-run-as-root, and more ranks than cores without --oversubscribe.\n"
    "To save and stop such a job, send USR2 to mpirun. After Ctrl-C the ranks have about a second.\n"
    "docs/distributed.md says more.";

/// Whether a word in the place of CONFIG is a key=value word. There is no path before its "=", and no file
/// has that name.
bool is_override(const fs::path& word) {
  const std::string text = word.string();
  const auto equals = text.find('=');
  std::error_code failure;
  return equals != std::string::npos && text.find('/') > equals && !fs::exists(word, failure);
}

bool is_folder(const fs::path& path) {
  std::error_code failure;
  return fs::is_directory(path, failure);
}

bool same_directory(const fs::path& a, const fs::path& b) {
  std::error_code failure;
  return fs::equivalent(a, b, failure) && !failure;
}

/// Takes RUN instead of --out. Rank 0 checks whether it exists.
void take_run(TrainArguments& arguments, const fs::path& run) {
  if (!arguments.out.empty() && !same_directory(arguments.out, run)) {
    throw UsageError(
        fmt::format("two run directories are given, {} and {}", run.string(), arguments.out.string()),
        "name one of them");
  }
  arguments.out = run;
}

/// `--resume RUN` beside CONFIG leaves two words that are no overrides.
bool has_two_paths(const TrainArguments& arguments) {
  return !arguments.config.empty() && !arguments.overrides.empty() &&
         arguments.overrides.front().find('=') == std::string::npos;
}

/// CONFIG is the one that is a file. A run need not be there yet.
void take_run_and_config(TrainArguments& arguments) {
  fs::path run = arguments.overrides.front();
  arguments.overrides.erase(arguments.overrides.begin());
  std::error_code failure;
  if (!fs::is_regular_file(arguments.config, failure)) std::swap(run, arguments.config);
  take_run(arguments, run);
}

void settle_resume(TrainArguments& arguments) {
  arguments.resume = !arguments.resume_word.empty();
  if (!arguments.resume) return;
  if (arguments.resume_word != kFlag) return take_run(arguments, arguments.resume_word);
  if (arguments.out.empty() && has_two_paths(arguments)) return take_run_and_config(arguments);
  std::error_code failure;
  const bool is_run =
      arguments.out.empty() ? !fs::is_regular_file(arguments.config, failure) : is_folder(arguments.config);
  if (arguments.config.empty() || !is_run) return;
  take_run(arguments, arguments.config);
  arguments.config.clear();
}

/// CONFIG after a key=value word would be taken for an override.
void refuse_late_config(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word.find('=') != std::string::npos) continue;
    throw UsageError(fmt::format("'{}' comes after a key=value word", word),
                     "give CONFIG, or RUN with --resume, before every key=value");
  }
}

}  // namespace

void settle(TrainArguments& arguments) {
  if (is_override(arguments.config)) {
    arguments.overrides.insert(arguments.overrides.begin(), arguments.config.string());
    arguments.config.clear();
    refuse_late_config(arguments.overrides);
  }
  settle_resume(arguments);
  if (!arguments.fork.empty() && !arguments.init_from.empty()) {
    throw UsageError("--fork and --init-from are both given",
                     "a run starts from another's whole state, or from a model's weights: leave one out");
  }
  if (!arguments.config.empty()) return;
  const bool own = arguments.resume && !arguments.out.empty();
  if (!own && arguments.fork.empty()) throw UsageError("CONFIG is missing", "see granule train --help");
}

void add_train_options(CLI::App& command, TrainArguments& arguments) {
  command
      .add_option(
          "config", arguments.config,
          "The run configuration, a TOML file. With --fork it may be left out. With --resume it may be left "
          "out too, or RUN may be given in its place.")
      ->type_name("CONFIG");
  command.add_option("overrides", arguments.overrides, "Keys to override, such as moe.aux_loss_alpha=0.003.")
      ->type_name("key=value");
  command
      .add_option("--out", arguments.out,
                  "The run directory. It must be new or empty, unless --resume is given.")
      ->type_name("RUN");
  command.add_flag(
      "--resume", arguments.resume_word,
      "Continue from the newest valid checkpoint of the run, or start if there is none. Without CONFIG the "
      "run's own config is used.");
  command.add_option("--init-from", arguments.init_from, "Start from the weights of this model.")
      ->type_name("MODEL");
  command
      .add_option(
          "--fork", arguments.fork,
          "Start from the weights, the optimizer state and the place in the data of another run. By default "
          "its newest checkpoint is taken.")
      ->type_name("RUN[:STEP]");
  command.add_flag("--dry-run", arguments.dry_run,
                   "Print the resolved config, the parameters, the FLOPs and the bytes, and train nothing.");
  command.add_flag(
      "--digests", arguments.digests,
      "Write RUN/digests.json, the digests of the initial values and of the batches. Equal digests "
      "show that two runs can be compared.");
  command.footer(kExample);
}

}  // namespace granule
