// granule verify: the layout certificate. It computes one step of a run under every layout and compares it
// with one rank.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/config/run_config_check.hpp"
#include "apps/inputs/run_data.hpp"
#include "apps/inputs/same_input.hpp"
#include "apps/jobs/gpu_of_rank.hpp"
#include "apps/program/console.hpp"
#include "apps/verification/step_figures.hpp"
#include "data/sampling/loader.hpp"
#include "distributed/agreement.hpp"
#include "distributed/communicators/self_communicator.hpp"
#include "distributed/communicators/thread_communicator.hpp"
#include "distributed/mpi/launcher.hpp"

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

struct VerifyArguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  std::set<std::int64_t> ranks;  // empty if not given
  std::set<std::int64_t> ep, zero{0, 1, 2, 3};
};

/// A layout together with its number of ranks.
struct Candidate {
  std::int64_t ranks;
  ParallelLayout layout;
  [[nodiscard]] std::string text() const {
    return fmt::format("{} rank{}, ep {}, ZeRO {}", ranks, ranks == 1 ? "" : "s", layout.ep, layout.zero);
  }
};

/// What every layout computes: the first step of a run.
struct FirstStep {
  RunConfig config;
  std::optional<RunData> data{};
  /// All batches, read once, because the HDF5 library must not be used by several threads.
  std::vector<Batch> batches{};
};

std::vector<Batch> read_batches(const RunConfig& config, RunData& data) {
  Loader loader(data.train, sampler_of(config, data.train, sample_order_of(config)),
                {.seq_len = config.data.seq_len,
                 .batch_size = config.train.batch_size,
                 .micro_batch_size = config.train.micro_batch_size,
                 .mask = DocumentMask{config.data.document_mask}});
  std::vector<Batch> batches;
  for (std::int64_t i = 0; i < loader.micro_batches_per_step(); ++i) batches.push_back(loader.next());
  return batches;
}

/// Layouts are chosen by options, so the same key in an override would have no effect.
void refuse_layout_keys(const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    for (const auto& [key, option] :
         {std::pair{"parallel.ep=", "--ep"}, std::pair{"parallel.zero=", "--zero"}}) {
      if (text.starts_with(key))
        user_error("granule verify chooses the layouts itself", text,
                   fmt::format("leave the key out, or choose layouts with {}", option));
    }
  }
}

FirstStep read_first_step(const VerifyArguments& arguments, DigestCheck digests) {
  refuse_layout_keys(arguments.overrides);
  FirstStep step{.config = load_run_config(arguments.config, arguments.overrides)};
  step.config.eval.every = {};  // nothing is evaluated, so no validation data is needed
  step.data = open_run_data(step.config, digests);
  settle_vocabulary(step.config, *step.data, "");
  step.batches = read_batches(step.config, *step.data);
  return step;
}

/// Every layout that was asked for and that fits. Throws a user error if ranks do not divide the batch, and
/// if an ep fits into no job.
std::vector<Candidate> candidates(const VerifyArguments& arguments, const RunConfig& config) {
  const std::int64_t experts = config.moe.n_routed_experts;
  std::vector<Candidate> all;
  for (const std::int64_t ranks : arguments.ranks) {
    check_division(config.train, ranks, "--ranks",
                   "choose ranks that divide the micro-batches of a step, or other sizes");
    for (std::int64_t ep = 1; ep <= ranks; ++ep) {
      const bool wanted = arguments.ep.empty() || arguments.ep.contains(ep);
      if (!wanted || ranks % ep != 0 || experts % ep != 0 || (experts == 0 && ep > 1)) continue;
      for (const std::int64_t zero : arguments.zero) {
        all.push_back({ranks, {.ep = ep, .zero = zero, .receive_limit = config.parallel.receive_limit}});
      }
    }
  }
  for (const std::int64_t ep : arguments.ep) {
    if (std::ranges::any_of(all, [&](const Candidate& one) { return one.layout.ep == ep; })) continue;
    user_error(fmt::format("{} experts cannot be sharded over {} ranks in any of these jobs", experts, ep),
               "--ep", "choose a divisor of moe.n_routed_experts and of one of --ranks");
  }
  return all;
}

Json row_of(const Candidate& candidate, const FigureDifferences& difference, bool holds) {
  return {{"ranks", candidate.ranks},
          {"ep", candidate.layout.ep},
          {"zero", candidate.layout.zero},
          {"holds", holds},
          {"ce", difference.ce},
          {"aux", difference.aux},
          {"device_aux", difference.device_aux},
          {"z", difference.z},
          {"grad_norm", difference.grad_norm},
          {"gradient", difference.gradient},
          {"parameter", difference.parameter},
          {"other_choices", difference.other_choices}};
}

/// Compares the results of the layouts, prints each comparison and collects the rows.
class Certificate {
 public:
  Certificate(const RunConfig& config, StepFigures reference)
      : dtype_(config.train.dtype),
        scores_(config.moe.n_routed_experts > 0 && config.moe.router != RouterKind::hash),
        reference_(std::move(reference)) {
    if (!std::isfinite(reference_.ce) || !std::isfinite(reference_.grad_norm)) {
      throw Error(ExitCode::non_finite,
                  fmt::format("on one rank the step has a loss of {} and a gradient norm of {}",
                              reference_.ce, reference_.grad_norm),
                  "granule verify",
                  "there is nothing to compare: lower model.initializer_range, check the data");
    }
    say("one rank: ce {:.6f}, aux {:.4f}, grad norm {:.6f}; the table has relative differences to them:",
        reference_.ce, reference_.aux, reference_.grad_norm);
    say("{:<24} {:>9} {:>9} {:>9} {:>9}  {}", "layout", "ce", "balance", "grad norm", "gradient",
        "largest in");
  }
  void add(const Candidate& candidate, const StepFigures& figures) {
    const FigureDifferences difference = differences(figures, reference_, dtype_);
    const bool holds = difference.hold(dtype_);
    failed_ += holds ? 0 : 1;
    rows_.push_back(row_of(candidate, difference, holds));
    say("{:<24} {:9.1e} {:9.1e} {:9.1e} {:9.1e}  {}{}", candidate.text(), difference.ce,
        std::max({difference.aux, difference.device_aux, difference.z}), difference.grad_norm,
        difference.gradient, difference.parameter, holds ? "" : "  DIFFERS");
  }
  /// Throws an error if a layout fails.
  void finish() const {
    const Json report{{"dtype", name_of(dtype_)},
                      {"reference",
                       {{"ce", reference_.ce},
                        {"aux", scores_ ? Json(reference_.aux) : Json()},
                        {"grad_norm", reference_.grad_norm}}},
                      {"layouts", rows_},
                      {"holds", failed_ == 0}};
    print_json(report);
    const char* const s = rows_.size() == 1 ? "" : "s";
    if (failed_ == 0) return say("all layouts ({}) compute what one rank computes", rows_.size());
    throw Error(ExitCode::failure,
                fmt::format("{} of {} layout{} differ from one rank", failed_, rows_.size(), s),
                "granule verify", "do not train with them; please report the table");
  }

 private:
  DType dtype_;
  bool scores_;  ///< whether routers have scores; without them there is no balance loss
  StepFigures reference_;
  std::vector<Json> rows_;
  std::int64_t failed_ = 0;
};

/// `step` must outlive it.
StepInput input_of(const FirstStep& step) {
  return {step.config, totals_of(step.config),
          [&batches = step.batches](Context& context, std::int64_t index) {
            return to_micro_batch(context, batches[static_cast<std::size_t>(index)]);
          }};
}

StepFigures on_one_rank(const StepInput& input) {
  SelfCommunicator alone;
  return step_figures(alone, input, {});
}

/// The ranks are threads of this process.
void verify_here(const VerifyArguments& arguments) {
  const FirstStep step = read_first_step(arguments, DigestCheck::verify);
  const auto layouts = candidates(arguments, step.config);
  const StepInput input = input_of(step);
  Certificate certificate(step.config, on_one_rank(input));
  for (const Candidate& candidate : layouts) {
    StepFigures figures;
    run_thread_ranks(static_cast<int>(candidate.ranks), [&](Communicator& ranks) {
      StepFigures mine = step_figures(ranks, input, candidate.layout);
      if (ranks.rank() == 0) figures = std::move(mine);
    });
    certificate.add(candidate, figures);
  }
  certificate.finish();
}

/// The ranks are those of the launcher. Rank 0 also computes the reference, and compares.
void verify_on(Communicator& ranks, VerifyArguments arguments) {
  Watchdog watchdog(ranks, watchdog_options());
  const Hosts hosts(ranks);
  require_same_options(ranks, hosts,
                       {{"--ep", fmt::format("{}", fmt::join(arguments.ep, ","))},
                        {"--zero", fmt::format("{}", fmt::join(arguments.zero, ","))}});
  FirstStep step;
  std::vector<Candidate> layouts;
  agree(ranks, [&] {
    if (!arguments.ranks.empty() && arguments.ranks != std::set<std::int64_t>{ranks.size()}) {
      user_error(fmt::format("the launcher started {} ranks", ranks.size()), "--ranks",
                 "leave it out under mpirun, or start a separate job for each number of ranks");
    }
    arguments.ranks = {ranks.size()};
    step = read_first_step(arguments, digest_check_of(hosts));
    layouts = candidates(arguments, step.config);
  });
  require_same_input(ranks, hosts, {.config = step.config, .data = &*step.data});
  watchdog.set_seconds(static_cast<double>(step.config.parallel.watchdog_seconds));
  StepInput input = input_of(step);
  input.gpu = gpu_of_rank(ranks, step.config, hosts.place_on_host());
  std::optional<Certificate> certificate;
  agree(ranks, [&] {
    if (ranks.rank() == 0) certificate.emplace(step.config, on_one_rank(input));
  });
  for (const Candidate& candidate : layouts) {
    const StepFigures figures = step_figures(ranks, input, candidate.layout);
    if (certificate) certificate->add(candidate, figures);
  }
  agree(ranks, [&] {
    if (certificate) certificate->finish();
  });
}

void verify(const VerifyArguments& arguments) {
  if (!under_mpi_launcher()) {
    if (arguments.ranks.empty())
      user_error("--ranks is missing", "command line", "name numbers of ranks: --ranks 1,2,4");
    return verify_here(arguments);
  }
  run_job_together([&](Communicator& ranks) { verify_on(ranks, arguments); });
}

}  // namespace

void add_verify_command(CLI::App& program) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command =
      program.add_subcommand("verify", "Check that several ranks compute what one rank computes.");
  command->add_option("config", arguments->config, kConfigHelp)->required()->type_name("CONFIG");
  command->add_option("overrides", arguments->overrides, "Keys to override, such as train.dtype=f64.")
      ->type_name("key=value");
  command->add_option("--ranks", arguments->ranks, "Numbers of ranks to check. Leave it out under mpirun.")
      ->delimiter(',')
      ->allow_extra_args(false)  // a word after the list does not belong to it
      ->check(CLI::Range(1, 64))
      ->type_name("LIST");
  command
      ->add_option("--ep", arguments->ep,
                   "How many ranks shard the experts. By default every number that fits is checked.")
      ->delimiter(',')
      ->allow_extra_args(false)  // a word after the list does not belong to it
      ->check(CLI::Range(1, 64))
      ->type_name("LIST");
  command->add_option("--zero", arguments->zero, "ZeRO stages to check. By default all are checked: 0,1,2,3.")
      ->delimiter(',')
      ->allow_extra_args(false)  // a word after the list does not belong to it
      ->check(CLI::Range(0, 3))
      ->type_name("LIST");
  command->footer(
      "Example:\n  granule verify configs/tiny.toml data.path=DATA train.micro_batch_size=4 --ranks 1,2,4\n"
      "It computes the first step of the run under every layout, from the initial values of the run. Ranks "
      "are\n"
      "threads of this process; under mpirun they are the ranks of the job. The exit code is 0 only if "
      "every\n"
      "layout agrees with one rank: in the losses, the norm, and the gradient of every parameter.");
  command->callback([arguments] { verify(*arguments); });
}

}  // namespace granule
