// MODEL on the command line: a run directory (its newest valid checkpoint), a checkpoint directory, or a
// Hugging Face directory. One thing to every command that reads a model.
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
#include "distributed/checkpoint.hpp"
#include "moe/model.hpp"

namespace granule {

/// The section of a checkpoint that says how documents began in training: {"bos_id": ID or null}.
inline constexpr const char* kDocumentsSection = "documents";

class ModelFiles {
 public:
  /// Throws a user error when `path` is none of the three or is damaged. Damaged checkpoints of a run that
  /// were passed over are named in passed_over().
  [[nodiscard]] static ModelFiles open(const std::filesystem::path& path);

  /// Model and moe keys; the other tables too where the model is a checkpoint. Of a Hugging Face directory
  /// opened to override they may describe no model.
  [[nodiscard]] const RunConfig& config() const { return base_.config; }
  /// The same as the layer of values under a config file or overrides.
  [[nodiscard]] const ConfigBase& config_base() const { return base_; }
  /// The config.json of a Hugging Face directory as it stands; an empty object for a checkpoint.
  [[nodiscard]] nlohmann::json hf_document() const;
  [[nodiscard]] const TensorSet& tensors() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::optional<std::filesystem::path>& tokenizer() const { return tokenizer_; }
  /// Where the tokenizer lies, and what else goes with the model. Of a run it is the run's own directory: it
  /// stays when a checkpoint is removed.
  [[nodiscard]] const std::filesystem::path& companions() const { return companions_; }
  /// Of the tokenizer, or else what a checkpoint says of its data; empty when neither is known.
  [[nodiscard]] std::string tokenizer_sha256() const;
  /// The token that documents began with in training, as a checkpoint says; of a Hugging Face directory the
  /// BOS, where its tokenizer puts one before a text. Absent: none did.
  [[nodiscard]] std::optional<std::int32_t> bos_of_documents() const;
  /// nullptr for a Hugging Face directory.
  [[nodiscard]] const Checkpoint* checkpoint() const { return std::get_if<Checkpoint>(&source_); }
  [[nodiscard]] const std::vector<DamagedCheckpoint>& passed_over() const { return passed_over_; }
  /// Keys of a config.json that are not known here.
  [[nodiscard]] const std::vector<std::string>& unknown_keys() const { return unknown_keys_; }

  /// A model with these weights; `config` may differ from config() in keys that do not change shapes.
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

/// ModelFiles::open, with what was passed over named on stderr: damaged checkpoints, unknown keys of a
/// config.json. Its config describes a model.
[[nodiscard]] ModelFiles open_model(const std::filesystem::path& path);

/// The same for who lays other values over the config, and judges what results.
[[nodiscard]] ModelFiles open_model_to_override(const std::filesystem::path& path);

/// Names every damaged checkpoint on stderr.
void warn_of_damage(const std::vector<DamagedCheckpoint>& passed_over);

}  // namespace granule
