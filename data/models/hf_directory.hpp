// A Hugging Face model directory: config.json and either one model.safetensors or an index and its shards.
// This file does not know what the config's keys and the tensors' names mean.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/dtype.hpp"
#include "data/models/safetensors_writer.hpp"
#include "data/models/tensor_set.hpp"

namespace granule {

class HfDirectory {
 public:
  /// Checks everything except the values. Index and shards must name the same tensors, each once. Throws user
  /// errors.
  [[nodiscard]] static HfDirectory open(const std::filesystem::path& directory);
  /// True if the directory has a config.json.
  [[nodiscard]] static bool is_one(const std::filesystem::path& directory);
  ~HfDirectory();
  HfDirectory(HfDirectory&&) noexcept;
  HfDirectory& operator=(HfDirectory&&) noexcept;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const nlohmann::json& config() const { return *config_; }
  [[nodiscard]] const TensorSet& model() const { return model_; }
  /// The same weights as a model of another type: its config, and the tensors to bring into its names. The
  /// files do not change.
  TensorSet& translate(const nlohmann::json& config);
  /// True if model.safetensors was read although there is also an index, whose shards were not. transformers
  /// reads the same.
  [[nodiscard]] bool passes_over_index() const;
  [[nodiscard]] std::optional<TensorView> find(const std::string& name) const { return model_.find(name); }
  [[nodiscard]] std::vector<std::string> names() const { return model_.names(); }
  /// See TensorSet::read_into.
  template <class T>
  void read_into(const std::string& name, std::span<const std::int64_t> shape, std::span<T> out) const {
    model_.read_into(name, shape, out);
  }

 private:
  HfDirectory(std::filesystem::path path, nlohmann::json config, TensorSet model);

  std::filesystem::path path_;
  std::unique_ptr<nlohmann::json> config_;
  TensorSet model_;
};

enum class Verify { yes, no };

struct HfExport {
  const nlohmann::json& config;             ///< config.json
  const nlohmann::json& generation_config;  ///< generation_config.json; null leaves the file out
  std::span<const TensorToSave> tensors;    ///< floating-point, in the order in which they fill the shards
  DType dtype = DType::bf16;                ///< in which all of them are written
  std::int64_t max_shard_bytes = 5'000'000'000;
  std::vector<std::filesystem::path> extra_files = {};        ///< copied under their own names (tokenizer)
  std::vector<std::filesystem::path> extra_directories = {};  ///< copied with the files in them
  Verify verify = Verify::yes;
  const nlohmann::json* tokenizer_config = nullptr;  ///< tokenizer_config.json; nullptr leaves the file out
  const nlohmann::json* tokenizer = nullptr;         ///< tokenizer.json; nullptr leaves the file out
  std::span<const TensorToSave> states{};  ///< tensors that keep their dtype, as a selection bias must
  /// Verifies more of what was written, at the path where it is then. It throws if something is wrong.
  std::function<void(const std::filesystem::path&)> verify_more{};
};

/// The content of a file such as config.json that is written from this document.
[[nodiscard]] std::string text_of_document(const nlohmann::json& document);

/// Writes under another name, verifies, and renames into place. The directory must be new or empty (else a
/// user error), and it appears whole or not at all. Throws io_error if it cannot be written, or if it reads
/// back differently.
void write_hf_directory(const std::filesystem::path& directory, const HfExport& model,
                        Disk& disk = Disk::system());

/// Reads a directory as any reader would, and compares every byte of every tensor with what should be there.
void verify_hf_directory(const std::filesystem::path& directory, const HfExport& model);

}  // namespace granule
