// MODEL on the command line: a run directory (its newest valid checkpoint), a checkpoint directory, or a
// Hugging Face directory. Every command that reads a model gets the same object for all three.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"
#include "data/models/hf_directory.hpp"
#include "distributed/checkpoints/checkpoint.hpp"
#include "moe/model/model.hpp"

namespace granule {

/// The section of a checkpoint that says how documents began in training: {"bos_id": ID or null}.
inline constexpr const char* kDocumentsSection = "documents";

class ModelFiles {
 public:
  /// Throws a user error if `path` is none of the three or is damaged. If damaged checkpoints of a run were
  /// passed over, passed_over() names them.
  [[nodiscard]] static ModelFiles open(const std::filesystem::path& path);

  /// The keys of model and moe, and for a checkpoint also the other tables. A Hugging Face directory that was
  /// opened to override may describe no model.
  [[nodiscard]] const RunConfig& config() const { return base_.config; }
  /// The same, as the layer of values under a config file or overrides.
  [[nodiscard]] const ConfigBase& config_base() const { return base_; }
  /// The config.json of a Hugging Face directory, in the keys of a `deepseek` model. Nothing else of it is
  /// changed. An empty object for a checkpoint.
  [[nodiscard]] nlohmann::json hf_document() const;
  [[nodiscard]] const TensorSet& tensors() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::optional<std::filesystem::path>& tokenizer() const { return tokenizer_; }
  /// The directory of the tokenizer and of the other files of the model. For a run this is the run's own
  /// directory, because that stays when a checkpoint is removed.
  [[nodiscard]] const std::filesystem::path& companions() const { return companions_; }
  /// The digest of the tokenizer, or else what a checkpoint says about its data. Empty if neither is known.
  [[nodiscard]] std::string tokenizer_sha256() const;
  /// The token that documents began with in training, as a checkpoint says. For a Hugging Face directory it
  /// is the BOS, if its tokenizer adds one before a text. Absent if documents began with no token.
  [[nodiscard]] std::optional<std::int32_t> bos_of_documents() const;
  /// nullptr for a Hugging Face directory.
  [[nodiscard]] const Checkpoint* checkpoint() const { return std::get_if<Checkpoint>(&source_); }
  [[nodiscard]] const std::vector<DamagedCheckpoint>& passed_over() const { return passed_over_; }
  /// True for a Hugging Face directory with model.safetensors, which is read, and an index, which is not.
  [[nodiscard]] bool passes_over_index() const;
  /// The keys of a config.json that are not known here.
  [[nodiscard]] const std::vector<std::string>& unknown_keys() const { return unknown_keys_; }

  /// A model with these weights. `config` may differ from config() in keys that do not change shapes.
  [[nodiscard]] std::unique_ptr<Model> load(Context& context, const RunConfig& config, DType dtype,
                                            Gradients gradients) const;

 private:
  ModelFiles(std::filesystem::path path, std::variant<Checkpoint, HfDirectory> source);
  static ModelFiles of_checkpoints(const std::filesystem::path& checkpoints);
  void take_tokenizer_of(const std::filesystem::path& run);

  std::filesystem::path path_, companions_;
  std::variant<Checkpoint, HfDirectory> source_;
  ConfigBase base_;
  std::vector<std::string> unknown_keys_;
  std::optional<std::filesystem::path> tokenizer_;
  std::vector<DamagedCheckpoint> passed_over_;
};

/// ModelFiles::open, which also names on stderr what was passed over: damaged checkpoints, an index of
/// shards, and the unknown keys of a config.json. Its config describes a model.
[[nodiscard]] ModelFiles open_model(const std::filesystem::path& path);

/// The same for a caller that changes values of the config and then checks the result.
[[nodiscard]] ModelFiles open_model_to_override(const std::filesystem::path& path);

/// Names every damaged checkpoint on stderr.
void warn_of_damage(const std::vector<DamagedCheckpoint>& passed_over);

}  // namespace granule
