// granule export: a model as other programs read it.
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/config/hf_config.hpp"
#include "apps/console.hpp"
#include "apps/exported_tokenizer.hpp"
#include "apps/model_files.hpp"
#include "core/error.hpp"
#include "data/models/hf_directory.hpp"
#include "data/open_tokenizer.hpp"
#include "distributed/parameter_files.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct ExportArguments {
  fs::path model, out;
  std::string format, dtype = "f32";
  bool no_verify = false;
};

constexpr const char* kExample =
    "Example:\n  granule export runs/tiny --format hf --out tiny-hf\n"
    "f32 keeps the weights of a run exactly; bf16 rounds them to half the size, as published models are.";

void check_format(const std::string& format) {
  if (format == "hf") return;
  if (format == "hf-qwen2moe" || format == "gguf")
    user_error(fmt::format("--format {} is not built yet", format), "command line", "use --format hf");
  user_error(fmt::format("there is no format '{}'", format), "command line", "use --format hf");
}

struct SavedTensors {
  std::vector<TensorToSave> parameters, states;
};
/// The tensors straight from the model's files: nothing is loaded.
SavedTensors tensors_of(const ModelFiles& files) {
  ParameterStore store;
  declare_parameters(store, files.config().model, files.config().moe);
  check_parameters(store, files.tensors(), files.path().string());
  const auto saved = [&](const std::string& name, const Shape& shape) {
    const TensorView view = files.tensors().get(name, shape.dims());
    return tensor_of_bytes({name, view.dtype, view.shape}, view.bytes);
  };
  SavedTensors tensors;
  for (const LogicalTensor& parameter : store.logical())
    tensors.parameters.push_back(saved(parameter.name, parameter.shape));
  for (const State& state : store.states()) {
    if (files.tensors().find(state.name)) tensors.states.push_back(saved(state.name, state.shape));
  }
  return tensors;
}

/// config.json, proven to be read as the model it describes.
json config_document(const HfConfig& config, DType dtype) {
  json document = to_json(config, dtype == DType::bf16 ? "bfloat16" : "float32");
  GRANULE_ASSERT(hf_config_from_json(document, "config.json") == config,
                 "config.json is read otherwise than it is written");
  return document;
}

json generation_document(const HfConfig& config) {
  if (!config.bos_token_id && !config.eos_token_id) return {};
  json document{{"_from_model_config", true}, {"transformers_version", "4.36.0"}};
  if (config.bos_token_id) document["bos_token_id"] = *config.bos_token_id;
  if (config.eos_token_id) document["eos_token_id"] = *config.eos_token_id;
  return document;
}

/// Every tokenizer file that is there: of a Hugging Face directory also those this program does not read.
std::vector<fs::path> tokenizer_files(const ModelFiles& files) {
  std::vector<fs::path> found;
  for (const char* const name : {"tokenizer.model", "tokenizer.json", "tokenizer_config.json",
                                 "special_tokens_map.json", "added_tokens.json"}) {
    if (fs::is_regular_file(files.path() / name)) found.push_back(files.path() / name);
  }
  return found;
}

/// The tokenizer, where the export has to say what it is. A Hugging Face directory says it itself about a
/// tokenizer.json, and may hold one that this program does not read.
std::unique_ptr<Tokenizer> tokenizer_to_describe(const ModelFiles& files) {
  const auto& path = files.tokenizer();
  const bool says_itself = files.checkpoint() == nullptr && path && path->extension() == ".json";
  return path && !says_itself ? open_tokenizer(*path) : nullptr;
}

HfConfig hf_config_of(const ModelFiles& files, const Tokenizer* tokenizer) {
  HfConfig config{files.config().model, files.config().moe};
  if (files.checkpoint() == nullptr) config = read_hf_config(files.path());
  if (tokenizer != nullptr) {
    config.bos_token_id = tokenizer->bos_id();
    config.eos_token_id = tokenizer->eos_id();
  }
  return config;
}

void export_model(const ExportArguments& arguments) {
  check_format(arguments.format);
  const ModelFiles files = open_model(arguments.model);
  const SavedTensors tensors = tensors_of(files);
  std::vector<fs::path> extra = tokenizer_files(files);
  const auto tokenizer = tokenizer_to_describe(files);
  const HfConfig hf = hf_config_of(files, tokenizer.get());
  const DType dtype = arguments.dtype == "bf16" ? DType::bf16 : DType::f32;
  const json config = config_document(hf, dtype), generation = generation_document(hf);
  HfExport content{config, generation, tensors.parameters, dtype};
  content.states = tensors.states;
  content.verify = arguments.no_verify ? Verify::no : Verify::yes;
  ExportedTokenizer exported;
  if (tokenizer &&
      (files.checkpoint() != nullptr || !fs::is_regular_file(files.path() / kTokenizerConfigFile))) {
    exported = exported_tokenizer(*tokenizer, files.bos_of_documents(), hf.model.positions());
    exported.take_out_of(extra);
    content.tokenizer_config = &exported.config;
    if (!exported.file.is_null()) content.tokenizer = &exported.file;
  }
  content.extra_files = extra;
  write_hf_directory(arguments.out, content);
  say("{}: {} tensors in {}, {}{}", arguments.out.string(),
      (tensors.parameters.size() + tensors.states.size()), arguments.dtype,
      arguments.no_verify ? "not verified" : "read back and equal",
      files.tokenizer() ? "" : "; the model has no tokenizer");
  const nlohmann::ordered_json report{{"out", arguments.out.string()},
                                      {"format", arguments.format},
                                      {"dtype", arguments.dtype},
                                      {"tensors", (tensors.parameters.size() + tensors.states.size())},
                                      {"verified", !arguments.no_verify}};
  print_out(report.dump() + "\n");
}

}  // namespace

void add_export_command(CLI::App& program) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App& command = *program.add_subcommand("export", "Write a model for other programs");
  command
      .add_option("model", arguments->model,
                  "run directory (its newest valid checkpoint), checkpoint, or Hugging Face directory")
      ->required()
      ->type_name("MODEL");
  command.add_option("--format", arguments->format, "hf: a Hugging Face directory (DeepseekForCausalLM)")
      ->required()
      ->type_name("hf");
  command.add_option("--out", arguments->out, "directory, new or empty")->required()->type_name("PATH");
  command.add_option("--dtype", arguments->dtype, "f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  command.add_flag("--no-verify", arguments->no_verify, "do not read back what was written");
  command.footer(kExample);
  command.callback([arguments] { export_model(*arguments); });
}

}  // namespace granule
