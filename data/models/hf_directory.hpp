// A Hugging Face model directory: config.json beside one model.safetensors or an index and its shards.
// Generic: what the config's keys and the tensors' names mean is not known here.
#pragma once
#include <cstdint>
#include <filesystem>
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
  /// Checks everything but the values: index and shards must name each other's tensors, each once. Throws
  /// user errors.
  [[nodiscard]] static HfDirectory open(const std::filesystem::path& directory);
  /// True when the directory holds a config.json.
  [[nodiscard]] static bool is_one(const std::filesystem::path& directory);
  ~HfDirectory();
  HfDirectory(HfDirectory&&) noexcept;
  HfDirectory& operator=(HfDirectory&&) noexcept;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const nlohmann::json& config() const { return *config_; }
  [[nodiscard]] const TensorSet& model() const { return model_; }
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
  DType dtype = DType::bf16;                ///< of every one of them as it is written
  std::int64_t max_shard_bytes = 5'000'000'000;
  std::vector<std::filesystem::path> extra_files = {};        ///< copied under their own names (tokenizer)
  std::vector<std::filesystem::path> extra_directories = {};  ///< the same with the files in them
  Verify verify = Verify::yes;
  const nlohmann::json* tokenizer_config = nullptr;  ///< tokenizer_config.json; nullptr leaves the file out
  const nlohmann::json* tokenizer = nullptr;         ///< tokenizer.json; likewise
  std::span<const TensorToSave> states{};            ///< what keeps its dtype, as a selection bias must
};

/// The content of a file that is written with this document, such as config.json.
[[nodiscard]] std::string text_of_document(const nlohmann::json& document);

/// Writes beside `directory`, verifies, and renames into place: the directory must be new or empty (else a
/// user error) and appears whole or not at all. Throws io_error when it cannot be written, or reads back
/// otherwise than it was written.
void write_hf_directory(const std::filesystem::path& directory, const HfExport& model,
                        Disk& disk = Disk::system());

/// Reads a directory back as any reader would and compares it with what it was to be, every byte of every
/// tensor.
void verify_hf_directory(const std::filesystem::path& directory, const HfExport& model);

}  // namespace granule
