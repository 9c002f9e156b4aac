// granule eval: how well a model predicts a data set, and how evenly its experts are used.
#include <chrono>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/inputs/data_warnings.hpp"
#include "apps/inputs/evaluation.hpp"
#include "apps/inputs/text_data.hpp"
#include "apps/inputs/text_input.hpp"
#include "apps/models/running_model.hpp"
#include "apps/program/console.hpp"
#include "apps/program/progress.hpp"
#include "apps/program/usage.hpp"
#include "apps/records/step_report.hpp"
#include "apps/specialisation/by_expert_file.hpp"
#include "apps/specialisation/evaluated_model.hpp"
#include "core/error.hpp"
#include "data/text/stdin_file.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct EvalArguments {
  fs::path model;
  std::optional<fs::path> data;
  TextInput text;
  std::optional<std::string> split;
  std::vector<std::string> overrides;
  std::optional<std::string> mask_top_experts, by_expert;
  bool no_shared_experts = false;
};

/// Where the evaluated tokens are, and what the answer calls them.
struct EvaluatedData {
  fs::path directory;
  std::string name;
  std::optional<std::string> split;  ///< a text has none
};

constexpr const char* kExample =
    "Example:\n  granule eval runs/tiny --data DATA\n"
    "  granule eval runs/tiny --data DATA --split train moe.num_experts_per_tok=2 train.dtype=f64\n"
    "  granule eval runs/tiny --text book.txt\n"
    "  granule eval runs/tiny --data DATA --mask-top-experts 1/16 --by-expert by-expert.json";

std::int64_t sum_of(std::span<const std::int64_t> values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

Json layers_of(const Model& model, const Evaluation& evaluation) {
  Json layers = Json::array();
  const auto experts = static_cast<std::size_t>(model.moe().n_routed_experts);
  std::span<const std::int64_t> counts = evaluation.counts, dropped = evaluation.dropped;
  for (const std::int64_t layer : model.moe_layers()) {
    const auto of_layer = counts.first(experts);
    const LoadStatistics load = load_statistics(of_layer);
    layers.push_back({{"layer", layer},
                      {"max_over_mean", load.max_over_mean},
                      {"cv", load.cv},
                      {"dead", load.dead},
                      {"dropped", sum_of(dropped.first(experts))},
                      {"counts", of_layer},
                      {"dropped_by_expert", dropped.first(experts)}});
    counts = counts.subspan(experts);
    dropped = dropped.subspan(experts);
  }
  return layers;
}

Json step_of(const ModelFiles& files) {
  return files.checkpoint() != nullptr ? Json(files.checkpoint()->step()) : Json();
}

std::int64_t experts_per_token(const MoeConfig& moe) {
  return moe.n_routed_experts > 0 ? moe.num_experts_per_tok : 0;
}

/// How many shared experts an MoE layer has used.
std::int64_t shared_experts(const EvaluatedModel& evaluated) {
  const MoeConfig& moe = evaluated.config.moe;
  const bool used = moe.n_routed_experts > 0 && evaluated.ablation.shared == SharedExperts::used;
  return used ? moe.n_shared_experts : 0;
}

Json report_of(const EvaluatedData& data, const ModelFiles& files, const Model& model,
               const EvaluatedModel& evaluated, const Evaluation& evaluation) {
  return {{"model", files.path().string()},
          {"step", step_of(files)},
          {"data", data.name},
          {"split", data.split ? Json(*data.split) : Json()},
          {"seq_len", evaluated.config.data.seq_len},
          {"document_mask", evaluated.config.data.document_mask},
          {"experts_per_token", experts_per_token(evaluated.config.moe)},
          {"shared_experts", shared_experts(evaluated)},
          {"mask_top_experts", evaluated.masked_share},
          {"masked_experts", evaluated.ablation.masked_experts},
          {"samples", evaluation.samples},
          {"tokens", evaluation.tokens},
          {"ce", evaluation.ce},
          {"perplexity", evaluation.perplexity},
          {"bits_per_byte", evaluation.bits_per_byte ? Json(*evaluation.bits_per_byte) : Json()},
          {"aux", evaluation.aux ? Json(*evaluation.aux) : Json()},
          {"layers", layers_of(model, evaluation)}};
}

/// Writes what the choices of the evaluation say about its experts.
void write_choices(const std::string& path, const EvaluatedData& data, const ModelFiles& files,
                   const EvaluatedModel& evaluated, ChoiceCounts& choices) {
  choices.finish();
  const auto& documents = choices.documents();
  write_by_expert(path, {{"format", kByExpertFormat},
                         {"model", files.path().string()},
                         {"step", step_of(files)},
                         {"data", data.name},
                         {"split", data.split ? Json(*data.split) : Json()},
                         {"tokens", choices.tokens()},
                         {"documents", documents ? Json(documents->documents()) : Json()},
                         {"layers", choices.layer_numbers()},
                         {"experts", choices.experts()},
                         {"experts_per_token", experts_per_token(evaluated.config.moe)},
                         {"shared_experts", shared_experts(evaluated)},
                         {"mask_top_experts", evaluated.masked_share},
                         {"masked_experts", evaluated.ablation.masked_experts},
                         {"by_layer", by_layer_of(choices)}});
}

/// The counter of --by-expert.
std::optional<ChoiceCounts> choice_counts(const EvalArguments& arguments, const ModelFiles& files,
                                          const Model& model, const DataMix& data, std::int64_t seq_len) {
  std::optional<ChoiceCounts> choices;
  if (!arguments.by_expert) return choices;
  choices.emplace(model, data, data.samples_before_a_repeat(seq_len) * seq_len,
                  token_table_of(files, data.source(0).directory()));
  if (!choices->documents()) {
    say("granule: warning: {} does not say where documents begin: {} lists none",
        data.source(0).directory().string(), *arguments.by_expert);
  }
  return choices;
}

Evaluation run_evaluation(RunningModel& running, const DataMix& data, const EvaluatedModel& evaluated,
                          TokenFollower* follower) {
  const RunConfig& config = evaluated.config;
  Progress progress;
  const auto start = std::chrono::steady_clock::now();
  const auto rate = [&](std::int64_t samples) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return static_cast<double>(samples * config.data.seq_len) / seconds.count();
  };
  const auto show = [&](std::int64_t done, std::int64_t samples) {
    progress.show(fmt::format("{} of {} samples  {:.0f} tok/s", done, samples, rate(done)));
  };
  Evaluation evaluation = evaluate(running.context(), running.model(), data,
                                   {.seq_len = config.data.seq_len,
                                    .micro_batch_size = config.train.micro_batch_size,
                                    .mask = DocumentMask{config.data.document_mask},
                                    .capacity = Capacity::limited,
                                    .ablation = evaluated.ablation,
                                    .follower = follower,
                                    .on_progress = show});
  progress.say(fmt::format("ce {:.4f}  perplexity {:.2f}  over {} tokens, {:.0f} tok/s",
                           without_sign_of_nan(evaluation.ce), without_sign_of_nan(evaluation.perplexity),
                           evaluation.tokens, rate(evaluation.samples)));
  return evaluation;
}

void print_load(const Json& report) {
  for (const Json& layer : report["layers"]) {
    say("layer {:>3}  load max/mean {:.2f}  cv {:.2f}  dead {}", layer["layer"].get<std::int64_t>(),
        layer["max_over_mean"].get<double>(), layer["cv"].get<double>(), layer["dead"].get<std::int64_t>());
  }
}

/// Equal vocabularies may have other tokens, and then the figures say nothing.
void warn_of_unknown_tokenizer(const DataMix& data, const ModelFiles& files) {
  if (files.tokenizer_sha256().empty()) return;
  for (const TokenSource& source : data.sources()) {
    if (!source.summary().tokenizer_sha256.value_or("").empty()) continue;
    say("granule: warning: {} does not say which tokenizer made it: only its vocabulary was compared with "
        "that of the model",
        source.directory().string());
  }
}

void tell_ablation(const EvaluatedModel& evaluated) {
  const MoeConfig& moe = evaluated.config.moe;
  if (evaluated.ablation.masked_experts > 0) {
    say("each token's {} best of {} routed experts are masked; it activates {} of the others",
        evaluated.ablation.masked_experts, moe.n_routed_experts, moe.num_experts_per_tok);
  }
  if (evaluated.ablation.shared == SharedExperts::left_out)
    say("without shared experts; a token activates {} routed experts", moe.num_experts_per_tok);
}

void require_place(const EvalArguments& arguments, const RunConfig& config) {
  if (!arguments.by_expert) return;
  if (config.moe.n_routed_experts == 0) {
    user_error("--by-expert: the model is dense and has no experts", "command line",
               "leave the option out, or give an MoE model");
  }
  require_place_for_file(*arguments.by_expert);
}

void measure(const EvalArguments& arguments, const ModelFiles& files, const EvaluatedModel& evaluated,
             const EvaluatedData& where) {
  const RunConfig& config = evaluated.config;
  const DataMix data(where.directory, where.split == "val" ? Split::val : Split::train);
  data.require_vocabulary(config.model.vocab_size, files.tokenizer_sha256(), VocabularyOf::model);
  warn_of_unknown_tokenizer(data, files);
  warn_of_unwritten_tokens(data);
  if (config.data.document_mask) data.require_documents();
  // A split that is too short shows before the model is read.
  static_cast<void>(data.samples(config.data.seq_len));
  RunningModel running(files, config);
  tell_ablation(evaluated);
  std::optional<ChoiceCounts> choices =
      choice_counts(arguments, files, running.model(), data, config.data.seq_len);
  const Evaluation evaluation = run_evaluation(running, data, evaluated, choices ? &*choices : nullptr);
  if (!std::isfinite(evaluation.ce)) {
    user_error(fmt::format("the cross-entropy is {}", without_sign_of_nan(evaluation.ce)),
               files.path().string(), kNotFiniteAdvice);
  }
  if (choices) write_choices(*arguments.by_expert, where, files, evaluated, *choices);
  const Json report = report_of(where, files, running.model(), evaluated, evaluation);
  print_load(report);
  print_json(report);
}

void measure_text(const EvalArguments& arguments, const ModelFiles& files, EvaluatedModel& evaluated) {
  if (arguments.split) throw UsageError("--split is for --data, a text has no splits", "leave it out");
  const TextData data(files, arguments.text);
  evaluated.fit_to_text(data.tokens());
  std::string name = name_of_input(arguments.text.paths.front());
  if (arguments.text.paths.size() > 1) name += fmt::format(" and {} more", arguments.text.paths.size() - 1);
  measure(arguments, files, evaluated, {data.directory(), name, std::nullopt});
}

void eval(const EvalArguments& arguments) {
  if (arguments.data.has_value() == !arguments.text.paths.empty())
    throw UsageError("what to measure must be given once", "give --data or --text");
  const ModelFiles files = open_model_to_override(arguments.model);
  EvaluatedModel evaluated = evaluated_model(
      files, arguments.overrides,
      {.mask_top_experts = arguments.mask_top_experts,
       .shared = arguments.no_shared_experts ? SharedExperts::left_out : SharedExperts::used});
  require_place(arguments, evaluated.config);
  if (!arguments.data) {
    measure_text(arguments, files, evaluated);
    return;
  }
  measure(arguments, files, evaluated,
          {*arguments.data, arguments.data->string(), arguments.split.value_or("val")});
}

}  // namespace

void add_eval_command(CLI::App& program) {
  const auto arguments = std::make_shared<EvalArguments>();
  CLI::App& command = *program.add_subcommand(
      "eval", "Measure how well a model predicts a data set, and how it uses its experts.");
  command.add_option("model", arguments->model, kModelHelp)->required()->type_name("MODEL");
  command
      .add_option("overrides", arguments->overrides, "Keys to override, such as moe.num_experts_per_tok=2.")
      ->type_name("key=value");
  command.add_option("--data", arguments->data, "The directory of the data set.")->type_name("DIR");
  command.add_option("--split", arguments->split, "The split to measure, val unless it is given.")
      ->check(CLI::IsMember({"train", "val"}));
  command
      .add_option("--text", arguments->text.paths,
                  "Measure text instead of a data set: a file or directory that data build takes, or - for "
                  "stdin. It may be given several times.")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  add_line_options(command, arguments->text.lines);
  command
      .add_option("--mask-top-experts", arguments->mask_top_experts,
                  "Mask this share of the routed experts for each token: those it likes best.")
      ->type_name("R");
  command.add_flag("--no-shared-experts", arguments->no_shared_experts,
                   "Leave out the shared experts, and activate one routed expert more.");
  command
      .add_option("--by-expert", arguments->by_expert,
                  "Write which tokens and documents each expert serves to this JSON file.")
      ->type_name("FILE");
  command.footer(kExample);
  command.callback([arguments] { eval(*arguments); });
}

}  // namespace granule
