#include "apps/models/model_files.hpp"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/models/hf_config.hpp"
#include "apps/models/qwen2moe.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "data/tokenizers/special_tokens.hpp"
#include "distributed/checkpoints/parameter_files.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

ConfigBase base_of(const Checkpoint& checkpoint) {
  const auto& sections = checkpoint.sections();
  if (!sections.contains("config")) refuse_checkpoint("it holds no config", checkpoint.path().string());
  return {run_config_from_json(sections.at("config"), (checkpoint.path() / kManifestName).string()),
          checkpoint.path().string()};
}

/// The tokenizer of the data that it was trained on. Empty if the checkpoint does not say.
std::string tokenizer_of_data(const Checkpoint& checkpoint) {
  const nlohmann::json& sections = checkpoint.sections();
  const auto data = sections.find("data");
  const nlohmann::json sha = data == sections.end() || !data->is_object()
                                 ? nlohmann::json()
                                 : data->value("tokenizer_sha256", nlohmann::json());
  return sha.is_string() ? sha.get<std::string>() : std::string();
}

/// A user may give a directory of runs or of models instead of one of them.
std::string advice_for_directory(const fs::path& path) {
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path& inside = entry->path();
    std::error_code unreadable;
    if (fs::is_directory(checkpoints_of(inside), unreadable) || is_checkpoint(inside) ||
        HfDirectory::is_one(inside))
      return fmt::format("name one of the models in it, such as {}", inside.string());
  }
  return "give a run directory, a checkpoint directory, or a Hugging Face directory";
}

[[noreturn]] void refuse_damaged_run(const fs::path& checkpoints) {
  user_error("every checkpoint of the run is damaged", checkpoints.string(),
             "repair one, or name another model");
}

[[noreturn]] void refuse_run_without_checkpoint(const fs::path& run) {
  user_error("the run has no checkpoint", run.string(),
             "train it until its first checkpoint, or mount or put back its checkpoints/");
}

HfDirectory open_hf_directory(const fs::path& path) {
  HfDirectory directory = HfDirectory::open(path);
  if (is_qwen2moe(directory.config())) translate_qwen2moe(directory);
  return directory;
}

}  // namespace

ModelFiles::ModelFiles(fs::path path, std::variant<Checkpoint, HfDirectory> source)
    : path_(std::move(path)),
      companions_(path_),
      source_(std::move(source)),
      tokenizer_(find_tokenizer(path_)) {
  if (checkpoint() != nullptr) {
    base_ = base_of(*checkpoint());
  } else {
    HfBase read = config_base_from(hf_document(), (path_ / "config.json").string());
    base_ = std::move(read.base);
    unknown_keys_ = std::move(read.passed_over);
  }
}

ModelFiles ModelFiles::of_checkpoints(const fs::path& checkpoints) {
  FoundCheckpoint found = find_newest_in(checkpoints);
  if (!found.checkpoint) {
    warn_of_damage(found.passed_over);
    if (!found.passed_over.empty()) refuse_damaged_run(checkpoints);
    refuse_run_without_checkpoint(checkpoints);
  }
  const fs::path checkpoint = found.checkpoint->path();
  ModelFiles files(checkpoint, std::move(*found.checkpoint));
  files.passed_over_ = std::move(found.passed_over);
  files.take_tokenizer_of(checkpoints.parent_path());
  return files;
}

void ModelFiles::take_tokenizer_of(const fs::path& run) {
  std::error_code error;
  if (!fs::exists(run / "config.toml", error)) return;
  const auto own = find_tokenizer(run);
  if (!own && tokenizer_) return;
  if (own && tokenizer_digest(*own) != tokenizer_of_data(*checkpoint()))
    return;  // another program put it there
  tokenizer_ = own;
  companions_ = run;
}

ModelFiles ModelFiles::open(const fs::path& path) {
  if (fs::is_regular_file(path)) {
    if (path.extension() == ".gguf") {
      user_error("a GGUF file is written for llama.cpp and not read here", path.string(),
                 "give the run, or an export in --format hf or hf-qwen2moe");
    }
    user_error("there is no model here, because a model is a directory", path.string(),
               "give the directory of config.json and its safetensors, a run or a checkpoint");
  }
  if (!fs::is_directory(path)) {
    user_error("there is no model here", path.string(),
               "give a run directory, a checkpoint directory, or a Hugging Face directory");
  }
  if (is_checkpoint(path)) {
    ModelFiles files(path, open_checkpoint(path));
    files.take_tokenizer_of(fs::absolute(path / "..").lexically_normal().parent_path().parent_path());
    return files;
  }
  if (fs::is_directory(checkpoints_of(path))) return of_checkpoints(checkpoints_of(path));
  if (HfDirectory::is_one(path)) return {path, open_hf_directory(path)};
  if (!list_steps_in(path).empty()) return of_checkpoints(path);
  if (fs::exists(path / "config.toml")) refuse_run_without_checkpoint(path);
  user_error("this directory holds neither checkpoints nor a config.json", path.string(),
             advice_for_directory(path));
}

nlohmann::json ModelFiles::hf_document() const {
  const auto* const directory = std::get_if<HfDirectory>(&source_);
  return directory != nullptr ? directory->config() : nlohmann::json::object();
}

bool ModelFiles::passes_over_index() const {
  const auto* const directory = std::get_if<HfDirectory>(&source_);
  return directory != nullptr && directory->passes_over_index();
}

const TensorSet& ModelFiles::tensors() const {
  return std::visit([](const auto& files) -> const TensorSet& { return files.model(); }, source_);
}

std::string ModelFiles::tokenizer_sha256() const {
  if (tokenizer_) return tokenizer_digest(*tokenizer_);
  return checkpoint() != nullptr ? tokenizer_of_data(*checkpoint()) : std::string();
}

std::optional<std::int32_t> ModelFiles::bos_of_documents() const {
  if (checkpoint() == nullptr) {
    if (!tokenizer_ || !adds_bos(*tokenizer_)) return std::nullopt;
    return open_tokenizer(*tokenizer_)->bos_id();
  }
  const nlohmann::json& sections = checkpoint()->sections();
  const auto documents = sections.find(kDocumentsSection);
  if (documents == sections.end() || !documents->is_object()) return std::nullopt;
  const auto bos = documents->find("bos_id");
  if (bos == documents->end() || !bos->is_number_integer()) return std::nullopt;
  return bos->get<std::int32_t>();
}

std::unique_ptr<Model> ModelFiles::load(Context& context, const RunConfig& config, DType dtype,
                                        Gradients gradients) const {
  auto model = std::make_unique<Model>(context, config.model, config.moe, dtype, gradients);
  load_parameters(model->parameters(), tensors(), path_.string());
  return model;
}

ModelFiles open_model_to_override(const fs::path& path) {
  ModelFiles files = ModelFiles::open(path);
  warn_of_damage(files.passed_over());
  if (files.passes_over_index()) {
    say("granule: warning: {} has model.safetensors and an index of shards: model.safetensors is read, as "
        "transformers does, and the shards are not",
        files.path().string());
  }
  if (!files.unknown_keys().empty()) {
    say("granule: warning: {} has keys that Granule does not know and ignores: {}", files.config_base().name,
        fmt::join(files.unknown_keys(), ", "));
  }
  return files;
}

ModelFiles open_model(const fs::path& path) {
  ModelFiles files = open_model_to_override(path);
  require_model(files.config_base());
  return files;
}

void warn_of_damage(const std::vector<DamagedCheckpoint>& passed_over) {
  for (const DamagedCheckpoint& damaged : passed_over) {
    say("granule: warning: passed over {}: {}", damaged.path.string(), damaged.reason);
  }
}

}  // namespace granule
