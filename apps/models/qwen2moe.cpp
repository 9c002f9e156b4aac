#include "apps/models/qwen2moe.hpp"

#include <algorithm>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::int64_t kMostLayers = 10'000;

/// Keys that the class reads, with its defaults. Source: transformers, configuration_qwen2_moe.py.
json defaults_of_class() {
  return {{"vocab_size", 151936},
          {"hidden_size", 2048},
          {"intermediate_size", 5632},
          {"num_hidden_layers", 24},
          {"num_attention_heads", 16},
          {"num_key_value_heads", 16},
          {"max_position_embeddings", 32768},
          {"initializer_range", 0.02},
          {"rms_norm_eps", 1e-6},
          {"use_sliding_window", false},
          {"decoder_sparse_step", 1},
          {"moe_intermediate_size", 1408},
          {"shared_expert_intermediate_size", 5632},
          {"num_experts_per_tok", 4},
          {"num_experts", 60},
          {"norm_topk_prob", false},
          {"mlp_only_layers", json::array()},
          {"qkv_bias", true}};
}

/// Keys that only this class reads.
constexpr const char* kOnlyQwen[] = {"num_experts",     "shared_expert_intermediate_size",
                                     "mlp_only_layers", "decoder_sparse_step",
                                     "qkv_bias",        "architectures"};
/// Keys of [moe] that both classes read.
constexpr std::string_view kShared[] = {"num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"};

/// A directory while it is translated.
class Translation {
 public:
  explicit Translation(HfDirectory& directory)
      : directory_(directory),
        where_((directory.path() / "config.json").string()),
        source_(directory.config()),
        tensors_(directory.translate(directory.config())) {
    const json defaults = defaults_of_class();
    for (const auto& [key, value] : defaults.items()) {
      if (!source_.contains(key) || source_[key].is_null()) source_[key] = value;
    }
  }

  void run() {
    json config = source_;
    for (const char* const key : kOnlyQwen) config.erase(key);
    erase_deepseek_keys(config);
    config["model_type"] = "deepseek";
    translate_layers(config);
    if (config["n_routed_experts"] != 0) translate_experts(config);
    config["attention_bias"] = take_biases();
    directory_.translate(config);
  }

 private:
  [[noreturn]] void refuse(std::string_view key, const json& value, std::string_view advice) const {
    user_error(fmt::format("{} = {} is not supported", key,
                           value.dump(-1, ' ', false, json::error_handler_t::replace)),
               where_, advice);
  }

  [[nodiscard]] std::int64_t count(const char* key, std::int64_t least, std::int64_t most) const {
    const json& value = source_[key];
    if (!value.is_number_integer() || value < least || value > most)
      refuse(key, value, fmt::format("give a whole number from {} to {}", least, most));
    return value.get<std::int64_t>();
  }

  [[nodiscard]] std::vector<std::int64_t> moe_layers(std::int64_t layers) const {
    const std::int64_t step = count("decoder_sparse_step", 1, kMostLayers);
    const json& dense = source_["mlp_only_layers"];
    if (!dense.is_array()) refuse("mlp_only_layers", dense, "give a list of layers");
    std::vector<std::int64_t> found;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const bool only_dense = std::find(dense.begin(), dense.end(), json(layer)) != dense.end();
      if (!only_dense && (layer + 1) % step == 0) found.push_back(layer);
    }
    return found;
  }

  void translate_layers(json& config) const {
    const std::int64_t layers = count("num_hidden_layers", 1, kMostLayers);
    const std::vector<std::int64_t> moe = moe_layers(layers);
    const bool is_dense = moe.empty() || source_["num_experts"] == 0;
    config["n_routed_experts"] = is_dense ? 0 : count("num_experts", 1, INT32_MAX);
    if (is_dense) return;
    const auto keys = moe_layer_keys(moe, layers);
    if (!keys)
      refuse(source_["mlp_only_layers"].empty() ? "decoder_sparse_step" : "mlp_only_layers",
             source_["mlp_only_layers"].empty() ? source_["decoder_sparse_step"] : source_["mlp_only_layers"],
             fmt::format("the MoE layers {} are not all layers from one on, nor every n-th layer from 0",
                         fmt::join(moe, ", ")));
    config["first_k_dense_replace"] = keys->first_k_dense_replace;
    config["moe_layer_freq"] = keys->moe_layer_freq;
    if (source_["norm_topk_prob"] == true && source_["num_experts_per_tok"] == 1)
      refuse("norm_topk_prob", true,
             "with num_experts_per_tok 1 the class gives every expert the weight 1, which Granule does not");
  }

  void translate_experts(json& config) {
    const std::int64_t width = count("moe_intermediate_size", 1, INT32_MAX);
    const std::int64_t shared = count("shared_expert_intermediate_size", 0, INT32_MAX);
    const bool used = shared > 0 && !all_zero(".mlp.shared_expert.");
    if (used && shared % width != 0)
      refuse("shared_expert_intermediate_size", shared,
             fmt::format("a multiple of moe_intermediate_size = {} can be read", width));
    config["n_shared_experts"] = used ? shared / width : 0;
    for (const std::string& name : tensors_.names()) {
      if (name.ends_with(".mlp.shared_expert_gate.weight")) {
        if (used) require_zero_gate(name);
        tensors_.remove(name);
      } else if (const auto at = name.find(".mlp.shared_expert."); at != std::string::npos) {
        if (used) rename_shared(name, at);
        if (!used) tensors_.remove(name);
      }
    }
  }

  void rename_shared(const std::string& name, std::size_t at) {
    constexpr std::string_view kTheirs = ".mlp.shared_expert.", kOurs = ".mlp.shared_experts.";
    std::string ours = name;
    ours.replace(at, kTheirs.size(), kOurs);
    tensors_.rename(name, ours, name.ends_with(".down_proj.weight") ? 0.5 : 1.0);
  }

  void require_zero_gate(const std::string& name) const {
    if (is_zero(name)) return;
    user_error(fmt::format("tensor '{}' is not zero", name), tensors_.file_of(name).string(),
               "the gate of a shared expert is not supported: models with a shared_expert_gate of zeros, as "
               "granule export --format hf-qwen2moe writes them, can be read");
  }

  /// Whether every tensor whose name has this text is zero.
  [[nodiscard]] bool all_zero(std::string_view text) const {
    const std::vector<std::string> names = tensors_.names();
    return std::ranges::all_of(names, [&](const std::string& name) {
      return name.find(text) == std::string::npos || is_zero(name);
    });
  }

  [[nodiscard]] bool is_zero(const std::string& name) const {
    constexpr std::int64_t kPiece = 1 << 16;
    const std::vector<std::int64_t> shape = tensors_.find(name)->shape;
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;
    std::vector<double> values;
    for (std::int64_t begin = 0; begin < size; begin += kPiece) {
      values.resize(static_cast<std::size_t>(std::min(kPiece, size - begin)));
      tensors_.read_into(name, shape, std::span(values), begin);
      if (std::ranges::any_of(values, [](double value) { return value != 0.0; })) return false;
    }
    return true;
  }

  /// Whether the attention has biases. Those that are zero are taken out, because they change nothing.
  bool take_biases() {
    std::vector<std::string> biases;
    for (const std::string& name : tensors_.names()) {
      const bool is_one = name.ends_with(".self_attn.q_proj.bias") ||
                          name.ends_with(".self_attn.k_proj.bias") ||
                          name.ends_with(".self_attn.v_proj.bias");
      if (is_one) biases.push_back(name);
    }
    const auto set = std::ranges::find_if(biases, [&](const std::string& name) { return !is_zero(name); });
    if (set == biases.end()) {
      for (const std::string& name : biases) tensors_.remove(name);
      return false;
    }
    if (source_["qkv_bias"] != true) {
      user_error(fmt::format("qkv_bias = {}, but tensor '{}' is not zero", source_["qkv_bias"].dump(), *set),
                 where_, "set qkv_bias to true, or take the biases out of the weights");
    }
    const std::int64_t layers = count("num_hidden_layers", 1, kMostLayers);
    const std::int64_t hidden = count("hidden_size", 1, INT32_MAX);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const std::string name = fmt::format("model.layers.{}.self_attn.o_proj.bias", layer);
      if (!tensors_.find(name)) tensors_.add_zeros(name, {hidden});
    }
    return true;
  }

  HfDirectory& directory_;
  std::string where_;
  json source_;
  TensorSet& tensors_;
};

}  // namespace

void erase_deepseek_keys(json& document) {
  for (const ConfigKey& key : config_keys()) {
    const bool shared = std::ranges::find(kShared, key.leaf()) != std::end(kShared);
    if (key.table() == "moe" && !shared) document.erase(std::string(key.leaf()));
  }
  for (const char* const key : {"attention_bias", "topk_method"}) document.erase(key);
}

bool is_qwen2moe(const json& document) {
  if (!document.is_object()) return false;
  const json type = document.value("model_type", json());
  if (!type.is_null()) return type == kQwen2MoeType;
  return document.value("architectures", json()) == json::array({kQwen2MoeArchitecture});
}

std::optional<MoeLayerKeys> moe_layer_keys(const std::vector<std::int64_t>& moe_layers, std::int64_t layers) {
  if (moe_layers.empty()) return std::nullopt;
  for (std::int64_t freq = 1; freq <= layers; ++freq) {
    const MoeLayerKeys keys{std::max<std::int64_t>(moe_layers.front() - freq + 1, 0), freq};
    std::vector<std::int64_t> described;
    for (std::int64_t layer = keys.first_k_dense_replace; layer < layers; ++layer) {
      if (layer % freq == 0) described.push_back(layer);
    }
    if (described == moe_layers) return keys;
  }
  return std::nullopt;
}

void translate_qwen2moe(HfDirectory& directory) {
  Translation(directory).run();
}

}  // namespace granule
