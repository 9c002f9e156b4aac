// granule export: writes a model for other programs.
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/models/carried_files.hpp"
#include "apps/models/exported_tokenizer.hpp"
#include "apps/models/generation_settings.hpp"
#include "apps/models/hf_config.hpp"
#include "apps/models/model_files.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "data/files/paths.hpp"
#include "data/models/hf_directory.hpp"
#include "data/open_tokenizer.hpp"
#include "distributed/checkpoints/parameter_files.hpp"

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
    "f32 keeps the weights of a run exactly. bf16 rounds them and halves the size; published models are in "
    "bf16.";

constexpr std::size_t kAside = 16;              // .NAME.writing
constexpr std::size_t kLongestNameInside = 64;  // model-00001-of-00001.safetensors

void check_format(const std::string& format) {
  if (format == "hf") return;
  if (format == "hf-qwen2moe" || format == "gguf")
    user_error(fmt::format("--format {} is not built yet", format), "command line", "use --format hf");
  user_error(fmt::format("there is no format '{}'", format), "command line", "use --format hf");
}

struct SavedTensors {
  std::vector<TensorToSave> parameters, states;
};
/// The tensors directly from the model's files. Nothing is loaded.
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

/// Makes config.json and proves that it is read as the model it describes. `source` is the config.json of a
/// Hugging Face directory.
json config_document(const HfConfig& config, DType dtype, const json& source) {
  json document = to_json(config, dtype == DType::bf16 ? "bfloat16" : "float32", source);
  GRANULE_ASSERT(hf_config_from_json(document, "config.json") == config,
                 "config.json reads back differently");
  return document;
}

/// The tokenizer, if the export must describe it. A Hugging Face directory already describes its
/// tokenizer.json, and this program may not be able to read that file.
std::unique_ptr<Tokenizer> tokenizer_to_describe(const ModelFiles& files) {
  const auto& path = files.tokenizer();
  const bool says_itself = files.checkpoint() == nullptr && path && path->extension() == ".json";
  return path && !says_itself ? open_tokenizer(*path) : nullptr;
}

HfConfig hf_config_of(const ModelFiles& files, const Tokenizer* tokenizer) {
  HfConfig config{files.config().model, files.config().moe};
  if (files.checkpoint() == nullptr) config = read_hf_config(files.path());
  if (tokenizer == nullptr) return config;
  // If a config.json names these tokens itself, its own ids are kept.
  if (!config.bos_token_id) config.bos_token_id = tokenizer->bos_id();
  if (!config.eos_token_id) config.eos_token_id = tokenizer->eos_id();
  return config;
}

bool holds(const ModelFiles& files, std::string_view name) {
  return fs::is_regular_file(files.companions() / name);
}

void say_what_was_written(const ExportArguments& arguments, const ModelFiles& files, std::size_t tensors,
                          const CarriedFiles& extra) {
  say("{}: {} tensors in {}, {}{}", arguments.out.string(), tensors, arguments.dtype,
      arguments.no_verify ? "not verified" : "read back and equal",
      files.tokenizer() ? "" : "; the model has no tokenizer");
  if (files.checkpoint() == nullptr && !extra.left.empty())
    say("not copied from {}: {}", files.path().string(), fmt::join(extra.left, ", "));
  const nlohmann::ordered_json report{{"out", arguments.out.string()},
                                      {"format", arguments.format},
                                      {"dtype", arguments.dtype},
                                      {"tensors", tensors},
                                      {"verified", !arguments.no_verify}};
  print_json(report);
}

void export_model(const ExportArguments& arguments) {
  check_format(arguments.format);
  require_path_fits(arguments.out, {.added = kAside, .inside = kLongestNameInside});
  const ModelFiles files = open_model(arguments.model);
  const SavedTensors tensors = tensors_of(files);
  const CarriedFiles carried = carried_files(files.companions());
  std::vector<fs::path> extra = carried.files;
  const auto tokenizer = tokenizer_to_describe(files);
  const HfConfig hf = hf_config_of(files, tokenizer.get());
  const DType dtype = arguments.dtype == "bf16" ? DType::bf16 : DType::f32;
  const json config = config_document(hf, dtype, files.hf_document());
  const json generation = holds(files, kGenerationConfigFile) ? json() : generation_settings(config);
  HfExport content{config, generation, tensors.parameters, dtype};
  content.states = tensors.states;
  content.extra_directories = carried.directories;
  content.verify = arguments.no_verify ? Verify::no : Verify::yes;
  ExportedTokenizer exported;
  if (tokenizer && (files.checkpoint() != nullptr || !holds(files, kTokenizerConfigFile))) {
    exported = exported_tokenizer(*tokenizer, files.bos_of_documents(), hf.model.positions());
    exported.take_out_of(extra);
    content.tokenizer_config = &exported.config;
    if (!exported.file.is_null()) content.tokenizer = &exported.file;
    if (!exported.no_json.empty()) say("no tokenizer.json is written: {}", exported.no_json);
  }
  content.extra_files = extra;
  write_hf_directory(arguments.out, content);
  say_what_was_written(arguments, files, tensors.parameters.size() + tensors.states.size(), carried);
}

}  // namespace

void add_export_command(CLI::App& program) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App& command = *program.add_subcommand("export", "Write a model for other programs.");
  command.add_option("model", arguments->model, kModelHelp)->required()->type_name("MODEL");
  command
      .add_option("--format", arguments->format, "hf writes a Hugging Face directory (DeepseekForCausalLM).")
      ->required()
      ->type_name("hf");
  command.add_option("--out", arguments->out, "The directory to write. It must be new or empty.")
      ->required()
      ->type_name("PATH");
  command.add_option("--dtype", arguments->dtype, "The type of the weights in the files.")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  command.add_flag("--no-verify", arguments->no_verify, "Do not read back and compare what was written.");
  command.footer(kExample);
  command.callback([arguments] { export_model(*arguments); });
}

}  // namespace granule
