#include "data/models/hf_directory.hpp"

#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kAdvice = "get the directory again, whole";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// From the name of a tensor to the name of its file.
using WeightMap = std::map<std::string, std::string>;

WeightMap load_index(const fs::path& path) {
  const json index = load_json_object(path);
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object())
    user_error("the index has no weight_map", path.string(), kAdvice);
  WeightMap weights;
  for (const auto& [name, file] : map->items()) {
    const std::string text = file.is_string() ? file.get<std::string>() : "";
    if (text.empty() || text == "." || text == ".." || text.find('/') != std::string::npos) {
      user_error(fmt::format("the weight_map gives no plain file name for tensor '{}'", name), path.string(),
                 kAdvice);
    }
    weights.emplace(name, text);
  }
  return weights;
}

/// It checks both ways: what the index says of a shard, and what a shard has.
void check_against_index(const TensorSet& model, const WeightMap& weights, const fs::path& index) {
  for (const auto& [name, file] : weights) {
    if (!model.find(name)) {
      user_error(fmt::format("tensor '{}' is not in {}, where the index puts it", name, file), index.string(),
                 kAdvice);
    }
    const std::string actual = model.file_of(name).filename().string();
    if (actual != file) {
      user_error(fmt::format("tensor '{}' is in {}, the index puts it in {}", name, actual, file),
                 index.string(), kAdvice);
    }
  }
  for (const std::string& name : model.names()) {
    if (!weights.contains(name)) {
      user_error(
          fmt::format("tensor '{}' of {} is not in the index", name, model.file_of(name).filename().string()),
          index.string(), kAdvice);
    }
  }
}

TensorSet open_shards(const fs::path& directory, const fs::path& index) {
  const WeightMap weights = load_index(index);
  std::set<std::string> files;
  for (const auto& [name, file] : weights) files.insert(file);
  TensorSet model;
  for (const std::string& file : files) {
    if (!is_there(directory / file)) {
      user_error(fmt::format("the shard {} is missing", file), index.string(), kAdvice);
    }
    model.add(SafetensorsFile::open(directory / file));
  }
  check_against_index(model, weights, index);
  return model;
}

TensorSet open_weights(const fs::path& directory) {
  if (is_there(directory / kSingle)) {
    TensorSet model;
    model.add(SafetensorsFile::open(directory / kSingle));
    return model;
  }
  if (!is_there(directory / kIndex)) {
    const bool pickled =
        is_there(directory / "pytorch_model.bin") || is_there(directory / "pytorch_model.bin.index.json");
    user_error(
        fmt::format("no {} and no {}", kSingle, kIndex), directory.string(),
        pickled ? "pytorch_model.bin is not read: transformers writes safetensors with save_pretrained(OUT, "
                  "safe_serialization=True)"
                : "a Hugging Face directory holds config.json and safetensors files");
  }
  return open_shards(directory, directory / kIndex);
}

}  // namespace

HfDirectory::HfDirectory(fs::path path, json config, TensorSet model)
    : path_(std::move(path)), config_(std::make_unique<json>(std::move(config))), model_(std::move(model)) {}

HfDirectory::~HfDirectory() = default;
HfDirectory::HfDirectory(HfDirectory&&) noexcept = default;
HfDirectory& HfDirectory::operator=(HfDirectory&&) noexcept = default;

TensorSet& HfDirectory::translate(const json& config) {
  *config_ = config;
  return model_;
}

bool HfDirectory::is_one(const fs::path& directory) {
  return is_there(directory / "config.json");
}

bool HfDirectory::passes_over_index() const {
  return is_there(path_ / kSingle) && is_there(path_ / kIndex);
}

HfDirectory HfDirectory::open(const fs::path& directory) {
  return {directory, load_json_object(directory / "config.json"), open_weights(directory)};
}

}  // namespace granule
