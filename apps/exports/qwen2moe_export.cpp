#include "apps/exports/qwen2moe_export.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/models/qwen2moe.hpp"
#include "core/error.hpp"
#include "data/models/derived_tensors.hpp"

namespace granule {
namespace {

using nlohmann::json;

/// A fused shared expert has the width of all of them. Without any, one of zeros stands for none.
std::int64_t shared_width(const MoeConfig& moe) {
  return std::max<std::int64_t>(moe.n_shared_experts, 1) * moe.moe_intermediate_size;
}

/// Versions differ in the name of the type, and each ignores the other.
void name_scaling_twice(json& scaling) {
  if (scaling.is_object() && scaling.contains("type")) scaling["rope_type"] = scaling["type"];
}

bool is_zero(const TensorToSave& tensor) {
  const std::vector<double> values = values_read(tensor);
  return std::ranges::all_of(values, [](double value) { return value == 0.0; });
}

class Tensors {
 public:
  explicit Tensors(const SourceTensors& source)
      : source_(source), model_(source.model()), moe_(source.moe()) {}

  std::vector<TensorToSave> all() {
    keep("model.embed_tokens.weight");
    for (std::int64_t layer = 0; layer < model_.num_hidden_layers; ++layer) {
      const std::string prefix = fmt::format("model.layers.{}", layer);
      keep(prefix + ".input_layernorm.weight");
      add_attention(prefix + ".self_attn");
      keep(prefix + ".post_attention_layernorm.weight");
      if (moe_.is_moe_layer(layer)) {
        add_experts(prefix + ".mlp");
      } else {
        for (const char* const part : {"gate", "up", "down"})
          keep(fmt::format("{}.mlp.{}_proj.weight", prefix, part));
      }
    }
    keep("model.norm.weight");
    if (source_.has("lm_head.weight")) keep("lm_head.weight");
    return std::move(tensors_);
  }

 private:
  void keep(const std::string& name) { tensors_.push_back(source_.get(name)); }
  void add_zeros(std::string name, std::vector<std::int64_t> shape) {
    tensors_.push_back(zeros({std::move(name), DType::f32, std::move(shape)}));
  }

  void add_attention(const std::string& prefix) {
    const std::pair<const char*, std::int64_t> parts[] = {
        {"q", model_.hidden_size}, {"k", model_.kv_width()}, {"v", model_.kv_width()}};
    for (const auto& [part, width] : parts) {
      keep(fmt::format("{}.{}_proj.weight", prefix, part));
      const std::string bias = fmt::format("{}.{}_proj.bias", prefix, part);
      if (model_.attention_bias) {
        keep(bias);
      } else {
        add_zeros(bias, {width});
      }
    }
    keep(prefix + ".o_proj.weight");
    const std::string bias = prefix + ".o_proj.bias";
    if (model_.attention_bias && !is_zero(source_.get(bias)))
      user_error(fmt::format("--format hf-qwen2moe cannot express the tensor '{}', which is not zero", bias),
                 "model.attention_bias = true", "use --format hf, which has it");
  }

  void add_experts(const std::string& prefix) {
    keep(prefix + ".gate.weight");
    for (std::int64_t expert = 0; expert < moe_.n_routed_experts; ++expert) {
      for (const char* const part : {"gate", "up", "down"})
        keep(fmt::format("{}.experts.{}.{}_proj.weight", prefix, expert, part));
    }
    const std::int64_t hidden = model_.hidden_size, width = shared_width(moe_);
    for (const char* const part : {"gate", "up"}) add_shared(prefix, part, {width, hidden}, 1.0);
    add_shared(prefix, "down", {hidden, width}, 2.0);
    add_zeros(prefix + ".shared_expert_gate.weight", {1, hidden});
  }

  /// The gate of zeros halves what a shared expert gives, so its last matrix has twice the values.
  void add_shared(const std::string& prefix, const char* part, std::vector<std::int64_t> shape,
                  double factor) {
    const std::string name = fmt::format("{}.shared_expert.{}_proj.weight", prefix, part);
    if (moe_.n_shared_experts == 0) return add_zeros(name, std::move(shape));
    TensorToSave tensor = source_.get(fmt::format("{}.shared_experts.{}_proj.weight", prefix, part));
    if (factor != 1.0) tensor = scaled(std::move(tensor), factor);
    tensors_.push_back(renamed(std::move(tensor), name));
  }

  const SourceTensors& source_;
  const ModelConfig& model_;
  const MoeConfig& moe_;
  std::vector<TensorToSave> tensors_;
};

}  // namespace

json qwen2moe_config(const ModelConfig& model, const MoeConfig& moe, const json& deepseek) {
  json document = deepseek;
  erase_deepseek_keys(document);
  for (const char* const key : {"auto_map", "pretraining_tp", "rope_parameters"}) document.erase(key);
  json dense = json::array();
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    if (!moe.is_moe_layer(layer)) dense.push_back(layer);
  }
  document.update({{"architectures", {kQwen2MoeArchitecture}},
                   {"model_type", kQwen2MoeType},
                   {"num_key_value_heads", model.kv_heads()},
                   {"num_experts", moe.n_routed_experts},
                   {"shared_expert_intermediate_size", shared_width(moe)},
                   // One expert alone has its own weight here, but the class would normalise it to 1.
                   {"norm_topk_prob", moe.norm_topk_prob && moe.num_experts_per_tok > 1},
                   {"mlp_only_layers", dense},
                   {"decoder_sparse_step", 1},
                   {"qkv_bias", true},
                   {"use_sliding_window", false},
                   {"sliding_window", nullptr},
                   {"max_window_layers", model.num_hidden_layers},
                   {"output_router_logits", false},
                   {"router_aux_loss_coef", moe.aux_loss_alpha}});
  name_scaling_twice(document["rope_scaling"]);
  return document;
}

std::vector<TensorToSave> qwen2moe_tensors(const SourceTensors& source) {
  return Tensors(source).all();
}

}  // namespace granule
