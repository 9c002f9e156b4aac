#include "apps/model_files.hpp"

#include <nlohmann/json.hpp>

#include "apps/console.hpp"
#include "apps/hf_config.hpp"
#include "core/error.hpp"
#include "data/token_source.hpp"
#include "distributed/parameter_files.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

RunConfig config_of(const Checkpoint& checkpoint) {
  const auto& sections = checkpoint.sections();
  if (!sections.contains("config")) refuse_checkpoint("it holds no config", checkpoint.path().string());
  return run_config_from_json(sections.at("config"), (checkpoint.path() / kManifestName).string());
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
    user_error("the run has no valid checkpoint", path.string(), "train it until its first checkpoint");
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
  user_error("this directory holds neither checkpoints nor a config.json", path.string(),
             "give a run directory, a checkpoint directory, or a Hugging Face directory");
}

const TensorSet& ModelFiles::tensors() const {
  return std::visit([](const auto& files) -> const TensorSet& { return files.model(); }, source_);
}

std::unique_ptr<Model> ModelFiles::load(Context& context, const RunConfig& config, DType dtype,
                                        Gradients gradients) const {
  auto model = std::make_unique<Model>(context, config.model, config.moe, dtype, gradients);
  load_parameters(model->parameters(), tensors(), path_.string());
  return model;
}

void warn_of_damage(const std::vector<DamagedCheckpoint>& passed_over) {
  for (const DamagedCheckpoint& damaged : passed_over) {
    say("granule: warning: passed over {}: {}", damaged.path.string(), damaged.reason);
  }
}

}  // namespace granule
