#include "apps/exports/directory_export.hpp"

#include <nlohmann/json.hpp>

#include "apps/exports/qwen2moe_export.hpp"
#include "apps/exports/read_back.hpp"
#include "apps/models/carried_files.hpp"
#include "apps/models/exported_tokenizer.hpp"
#include "apps/models/generation_settings.hpp"
#include "apps/models/hf_config.hpp"
#include "core/error.hpp"
#include "data/files/paths.hpp"
#include "data/models/hf_directory.hpp"
#include "data/open_tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kAside = 16;              // .NAME.writing
constexpr std::size_t kLongestNameInside = 64;  // model-00001-of-00001.safetensors

const char* torch_name(StoredType type) {
  if (type == StoredType::f32) return "float32";
  return type == StoredType::f16 ? "float16" : "bfloat16";
}

/// Makes config.json and proves that it is read as the model it describes. `source` is the config.json of a
/// Hugging Face directory.
json config_document(const HfConfig& config, const ExportRequest& request, const json& source) {
  json document = to_json(config, torch_name(request.type), source);
  GRANULE_ASSERT(hf_config_from_json(document, "config.json") == config,
                 "config.json reads back differently");
  if (request.format == ExportFormat::qwen2moe) return qwen2moe_config(config.model, config.moe, document);
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
  if (files.checkpoint() == nullptr)
    config = hf_config_from_json(files.hf_document(), files.config_base().name);
  if (tokenizer == nullptr) return config;
  // If a config.json names these tokens itself, its own ids are kept.
  if (!config.bos_token_id) config.bos_token_id = tokenizer->bos_id();
  if (!config.eos_token_id) config.eos_token_id = tokenizer->eos_id();
  return config;
}

bool holds(const ModelFiles& files, std::string_view name) {
  return fs::is_regular_file(files.companions() / name);
}

std::vector<TensorToSave> parameters_of(const SourceTensors& source, ExportFormat format) {
  return format == ExportFormat::qwen2moe ? qwen2moe_tensors(source) : source.parameters();
}

}  // namespace

ExportResult export_directory(const ExportRequest& request, const ModelFiles& files) {
  require_path_fits(request.out, {.added = kAside, .inside = kLongestNameInside});
  const SourceTensors source(files);
  const auto parameters = parameters_of(source, request.format), states = source.states();
  const CarriedFiles carried = carried_files(files.companions());
  std::vector<fs::path> extra = carried.files;
  const auto tokenizer = tokenizer_to_describe(files);
  const HfConfig hf = hf_config_of(files, tokenizer.get());
  const json config = config_document(hf, request, files.hf_document());
  const json generation = holds(files, kGenerationConfigFile) ? json() : generation_settings(config);
  ExportResult result{parameters.size() + states.size(), files.tokenizer().has_value()};
  if (files.checkpoint() == nullptr) result.left = carried.left;

  HfExport content{config, generation, parameters, dtype_of_stored(request.type)};
  content.states = states;
  content.extra_directories = carried.directories;
  content.verify = request.check == ReadBackCheck::yes ? Verify::yes : Verify::no;
  content.verify_more = [&](const fs::path& written) {
    result.difference = compare_with_model(files, DirectoryReadBack(written), request.type, request.out);
  };
  ExportedTokenizer exported;
  if (tokenizer && (files.checkpoint() != nullptr || !holds(files, kTokenizerConfigFile))) {
    exported = exported_tokenizer(*tokenizer, files.bos_of_documents(), hf.model.positions());
    exported.take_out_of(extra);
    content.tokenizer_config = &exported.config;
    if (!exported.file.is_null()) content.tokenizer = &exported.file;
    if (!exported.no_json.empty())
      result.notes.push_back(fmt::format("no tokenizer.json is written: {}", exported.no_json));
  }
  content.extra_files = extra;
  write_hf_directory(request.out, content);
  return result;
}

}  // namespace granule
