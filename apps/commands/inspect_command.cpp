// granule inspect: what a model is, without loading it.
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/models/model_files.hpp"
#include "apps/program/console.hpp"
#include "apps/runs/fork_source.hpp"
#include "apps/runs/provenance.hpp"
#include "distributed/checkpoints/parameter_files.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Group {
  const char* name;
  std::int64_t total, activated;
};

std::vector<Group> groups_of(const ParameterCounts& counts) {
  return {{"embedding", counts.embedding, counts.embedding},
          {"attention", counts.attention, counts.attention},
          {"dense feed-forward", counts.dense_ffn, counts.dense_ffn},
          {"router", counts.router, counts.router},
          {"routed experts", counts.routed_experts, counts.routed_activated},
          {"shared experts", counts.shared_experts, counts.shared_experts},
          {"norms", counts.norms, counts.norms},
          {"head", counts.head, counts.head}};
}

Json parameters_of(const ParameterCounts& counts) {
  return {{"total", counts.total()},
          {"activated", counts.activated()},
          {"embedding", counts.embedding},
          {"attention", counts.attention},
          {"dense_ffn", counts.dense_ffn},
          {"router", counts.router},
          {"routed_experts", counts.routed_experts},
          {"routed_activated", counts.routed_activated},
          {"shared_experts", counts.shared_experts},
          {"norms", counts.norms},
          {"head", counts.head}};
}

Json tensors_of(const ModelFiles& files) {
  ParameterStore store;
  declare_parameters(store, files.config().model, files.config().moe);
  check_parameters(store, files.tensors(), files.path().string());
  Json tensors = Json::array();
  for (const LogicalTensor& parameter : store.logical()) {
    const TensorView view = files.tensors().get(parameter.name, parameter.shape.dims());
    tensors.push_back(
        {{"name", parameter.name}, {"shape", view.shape}, {"dtype", std::string(name_of(view.dtype))}});
  }
  return tensors;
}

/// The whole config of a run. For a Hugging Face directory, only the tables that its config.json describes.
nlohmann::json config_of(const ModelFiles& files) {
  nlohmann::json config = to_json(files.config());
  if (files.checkpoint() != nullptr) return config;
  return {{"model", config["model"]}, {"moe", config["moe"]}};
}

/// For a run, what its run.json says up to today. For a checkpoint, the record it was saved with.
nlohmann::json provenance_of_model(const fs::path& given, const ModelFiles& files) {
  if (files.checkpoint() == nullptr) return {};
  return provenance_of(given, files.checkpoint()->sections());
}

Json describe(const ModelFiles& files, const nlohmann::json& provenance) {
  const RunConfig& config = files.config();
  const Checkpoint* const checkpoint = files.checkpoint();
  Json report{{"model", files.path().string()},
              {"kind", checkpoint != nullptr ? "checkpoint" : "huggingface"},
              {"step", nullptr},
              {"tokens", nullptr}};
  if (checkpoint != nullptr) {
    report["step"] = checkpoint->step();
    const RunPosition begun = beginning_of(checkpoint->sections());
    report["tokens"] =
        begun.tokens + (checkpoint->step() - begun.step) * config.train.batch_size * config.data.seq_len;
  }
  report["parameters"] = parameters_of(count_parameters(config.model, config.moe));
  report["provenance"] = provenance;
  report["tokenizer"] = files.tokenizer() ? Json(files.tokenizer()->filename().string()) : Json();
  report["config"] = config_of(files);
  report["tensors"] = tensors_of(files);
  return report;
}

/// Writes 16375728128 as 16,375,728,128.
std::string with_commas(std::int64_t value) {
  if (value < 1000) return fmt::format("{}", value);
  return fmt::format("{},{:03}", with_commas(value / 1000), value % 1000);
}

void print_table(const ModelFiles& files, const Json& report) {
  const RunConfig& config = files.config();
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  say("{}", files.path().string());
  if (files.checkpoint() != nullptr) {
    say("step {}, {} tokens", files.checkpoint()->step(), with_commas(report["tokens"].get<std::int64_t>()));
  }
  say("{} layers of width {}; {} routed experts, {} of them for each token, {} shared; vocabulary {}",
      config.model.num_hidden_layers, config.model.hidden_size, config.moe.n_routed_experts,
      config.moe.n_routed_experts > 0 ? config.moe.num_experts_per_tok : 0, config.moe.n_shared_experts,
      config.model.vocab_size);
  say("{:<20} {:>18} {:>18}", "parameters", "total", "activated");
  for (const Group& group : groups_of(counts)) {
    if (group.total > 0)
      say("  {:<18} {:>18} {:>18}", group.name, with_commas(group.total), with_commas(group.activated));
  }
  say("  {:<18} {:>18} {:>18}", "total", with_commas(counts.total()), with_commas(counts.activated()));
  say("{} tensors, {}", report["tensors"].size(),
      files.tokenizer() ? files.tokenizer()->filename().string() : "no tokenizer");
}

void inspect(const fs::path& path) {
  const ModelFiles files = open_model(path);
  const nlohmann::json provenance = provenance_of_model(path, files);
  const Json report = describe(files, provenance);
  print_table(files, report);
  for (const std::string& line : provenance_text(provenance)) say("{}", line);
  print_json(report);
}

}  // namespace

void add_inspect_command(CLI::App& program) {
  const auto path = std::make_shared<fs::path>();
  CLI::App& command =
      *program.add_subcommand("inspect", "Show the parameters, the config and the tensors of a model.");
  command.add_option("model", *path, kModelHelp)->required()->type_name("MODEL");
  command.footer("Example:\n  granule inspect runs/tiny | jq .parameters");
  command.callback([path] { inspect(*path); });
}

}  // namespace granule
