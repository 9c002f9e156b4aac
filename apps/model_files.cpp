#include "apps/model_files.hpp"

#include <nlohmann/json.hpp>

#include "apps/config/hf_config.hpp"
#include "apps/console.hpp"
#include "apps/training/run_data.hpp"
#include "core/error.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "data/tokenizers/special_tokens.hpp"
#include "distributed/parameter_files.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

RunConfig config_of(const Checkpoint& checkpoint) {
  const auto& sections = checkpoint.sections();
  if (!sections.contains("config")) refuse_checkpoint("it holds no config", checkpoint.path().string());
  return run_config_from_json(sections.at("config"), (checkpoint.path() / kManifestName).string());
}

[[noreturn]] void refuse_run_without_checkpoint(const fs::path& run) {
  user_error("the run has no valid checkpoint", run.string(), "train it until its first checkpoint");
}

RunConfig config_of(const HfDirectory& directory) {
  return config_base_from(directory.path()).config;
}

}  // namespace

ModelFiles::ModelFiles(fs::path path, std::variant<Checkpoint, HfDirectory> source)
    : path_(std::move(path)),
      source_(std::move(source)),
      config_(std::visit([](const auto& files) { return config_of(files); }, source_)),
      tokenizer_(find_tokenizer(path_)) {}

ModelFiles ModelFiles::of_run(const fs::path& path) {
  FoundCheckpoint found = find_newest_valid(path);
  if (!found.checkpoint) {
    warn_of_damage(found.passed_over);
    refuse_run_without_checkpoint(path);
  }
  const fs::path checkpoint = found.checkpoint->path();
  ModelFiles files(checkpoint, std::move(*found.checkpoint));
  files.passed_over_ = std::move(found.passed_over);
  return files;
}

ModelFiles ModelFiles::open(const fs::path& path) {
  if (!fs::is_directory(path)) {
    user_error("there is no model here", path.string(),
               "give a run directory, a checkpoint directory, or a Hugging Face directory");
  }
  if (is_checkpoint(path)) return {path, open_checkpoint(path)};
  if (fs::is_directory(checkpoints_of(path))) return of_run(path);
  if (HfDirectory::is_one(path)) return {path, HfDirectory::open(path)};
  if (fs::exists(path / "config.toml")) refuse_run_without_checkpoint(path);
  user_error("this directory holds neither checkpoints nor a config.json", path.string(),
             "give a run directory, a checkpoint directory, or a Hugging Face directory");
}

const TensorSet& ModelFiles::tensors() const {
  return std::visit([](const auto& files) -> const TensorSet& { return files.model(); }, source_);
}

std::string ModelFiles::tokenizer_sha256() const {
  if (tokenizer_) return tokenizer_digest(*tokenizer_);
  if (checkpoint() == nullptr) return {};
  const nlohmann::json& sections = checkpoint()->sections();
  const auto data = sections.find("data");
  const nlohmann::json sha = data == sections.end() || !data->is_object()
                                 ? nlohmann::json()
                                 : data->value("tokenizer_sha256", nlohmann::json());
  return sha.is_string() ? sha.get<std::string>() : std::string();
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

ModelFiles open_model(const fs::path& path) {
  ModelFiles files = ModelFiles::open(path);
  warn_of_damage(files.passed_over());
  return files;
}

void warn_of_damage(const std::vector<DamagedCheckpoint>& passed_over) {
  for (const DamagedCheckpoint& damaged : passed_over) {
    say("granule: warning: passed over {}: {}", damaged.path.string(), damaged.reason);
  }
}

}  // namespace granule
