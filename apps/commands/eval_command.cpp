// granule eval: how well a model predicts a data set, and how evenly its experts are used.
#include <chrono>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/config/config_reader.hpp"
#include "apps/config/run_config_keys.hpp"
#include "apps/inputs/data_warnings.hpp"
#include "apps/inputs/evaluation.hpp"
#include "apps/models/model_files.hpp"
#include "apps/program/console.hpp"
#include "apps/program/progress.hpp"
#include "apps/records/step_report.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct EvalArguments {
  fs::path model, data;
  std::string split = "val";
  std::vector<std::string> overrides;
};

// For models that do not say on what length they were trained.
constexpr std::int64_t kLongestByDefault = 4096;

constexpr const char* kExample =
    "Example:\n  granule eval runs/tiny --data DATA\n"
    "  granule eval runs/tiny --data DATA --split train moe.num_experts_per_tok=2 train.dtype=f64";

/// The keys that an evaluation reads. Those of the shape are not in this list; they are refused where they
/// are read.
constexpr std::string_view kKeys[] = {"model.max_position_embeddings",
                                      "model.rms_norm_eps",
                                      "model.rope_theta",
                                      "model.rope_scaling",
                                      "moe.num_experts_per_tok",
                                      "moe.norm_topk_prob",
                                      "moe.routed_scaling_factor",
                                      "moe.n_group",
                                      "moe.topk_group",
                                      "moe.capacity_factor",
                                      "moe.seq_aux",
                                      "data.seq_len",
                                      "data.document_mask",
                                      "train.micro_batch_size",
                                      "train.dtype",
                                      "train.device",
                                      "train.threads"};

void refuse_keys_without_effect(std::span<const std::string> overrides) {
  for (const std::string& text : overrides) {
    const ConfigEntry entry = parse_override(text);
    for (const ConfigKey& key : config_keys()) {
      if (key.name != entry.key || key.trait == ConfigKey::Trait::shape) continue;
      if (std::find(std::begin(kKeys), std::end(kKeys), key.name) != std::end(kKeys)) continue;
      user_error(fmt::format("{} has no effect on an evaluation", key.name), entry.where,
                 fmt::format("leave it out; keys that have one: {}", fmt::join(kKeys, ", ")));
    }
  }
}

RunConfig config_of(const ModelFiles& model, std::span<const std::string> overrides) {
  refuse_keys_without_effect(overrides);
  ConfigBase base = model.config_base();
  base.config.train.batch_size = 0;       // an evaluation has none, so any micro_batch_size divides it
  base.config.moe.capacity_factor = 0.0;  // an evaluation is dropless unless the user asks for a capacity
  base.config.train.threads = 0;          // the machine that it was trained on may have had others
  if (base.config.data.seq_len == 0)
    base.config.data.seq_len = std::min(base.config.model.max_position_embeddings, kLongestByDefault);
  return override_run_config(overrides, {.base = base});
}

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

Json report_of(const EvalArguments& arguments, const ModelFiles& files, const Model& model,
               const RunConfig& config, const Evaluation& evaluation) {
  const Checkpoint* const checkpoint = files.checkpoint();
  return {{"model", files.path().string()},
          {"step", checkpoint != nullptr ? Json(checkpoint->step()) : Json()},
          {"data", arguments.data.string()},
          {"split", arguments.split},
          {"seq_len", config.data.seq_len},
          {"document_mask", config.data.document_mask},
          {"samples", evaluation.samples},
          {"tokens", evaluation.tokens},
          {"ce", evaluation.ce},
          {"perplexity", evaluation.perplexity},
          {"bits_per_byte", evaluation.bits_per_byte ? Json(*evaluation.bits_per_byte) : Json()},
          {"aux", evaluation.aux ? Json(*evaluation.aux) : Json()},
          {"layers", layers_of(model, evaluation)}};
}

Evaluation run_evaluation(Context& context, const Model& model, const DataMix& data,
                          const RunConfig& config) {
  Progress progress;
  const auto start = std::chrono::steady_clock::now();
  const auto rate = [&](std::int64_t samples) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return static_cast<double>(samples * config.data.seq_len) / seconds.count();
  };
  const auto show = [&](std::int64_t done, std::int64_t samples) {
    progress.show(fmt::format("{} of {} samples  {:.0f} tok/s", done, samples, rate(done)));
  };
  Evaluation evaluation = evaluate(context, model, data,
                                   {.seq_len = config.data.seq_len,
                                    .micro_batch_size = config.train.micro_batch_size,
                                    .mask = DocumentMask{config.data.document_mask},
                                    .capacity = Capacity::limited,
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

void eval(const EvalArguments& arguments) {
  const ModelFiles files = open_model_to_override(arguments.model);
  const RunConfig config = config_of(files, arguments.overrides);
  const DataMix data(arguments.data, arguments.split == "val" ? Split::val : Split::train);
  data.require_vocabulary(config.model.vocab_size, files.tokenizer_sha256(), VocabularyOf::model);
  warn_of_unknown_tokenizer(data, files);
  warn_of_unwritten_tokens(data);
  if (config.data.document_mask) data.require_documents();
  // A split that is too short shows before the model is read.
  static_cast<void>(data.samples(config.data.seq_len));
  Context context(context_options(config, thread_count(config)));
  const auto model = files.load(context, config, config.train.dtype, Gradients::no);
  const Evaluation evaluation = run_evaluation(context, *model, data, config);
  if (!std::isfinite(evaluation.ce)) {
    user_error(fmt::format("the cross-entropy is {}", without_sign_of_nan(evaluation.ce)),
               files.path().string(),
               "the weights hold numbers that are not finite, or lead to them: use another checkpoint");
  }
  const Json report = report_of(arguments, files, *model, config, evaluation);
  print_load(report);
  print_json(report);
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
  command.add_option("--data", arguments->data, "The directory of the data set.")
      ->required()
      ->type_name("DIR");
  command.add_option("--split", arguments->split, "The split to measure.")
      ->check(CLI::IsMember({"train", "val"}))
      ->capture_default_str();
  command.footer(kExample);
  command.callback([arguments] { eval(*arguments); });
}

}  // namespace granule
