#include "apps/exports/expressible.hpp"

#include <vector>

#include <fmt/format.h>

#include "apps/models/qwen2moe.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

/// The most that llama.cpp accepts (LLAMA_MAX_EXPERTS, since the end of 2025).
constexpr std::int64_t kMostExperts = 512;

constexpr const char* kOnlyGranule =
    "use --format hf, which keeps it for Granule; the classes of other programs do not have it";
constexpr const char* kUseQwen = "use --format hf-qwen2moe, which has it";
constexpr const char* kUseHf = "use --format hf, which has it";

class Judge {
 public:
  Judge(ExportFormat format, std::string where) : format_(name_of(format)), where_(std::move(where)) {}
  void refuse_if(bool inexpressible, const std::string& what, std::string_view advice) const {
    if (inexpressible)
      user_error(fmt::format("--format {} cannot express {}", format_, what), where_, advice);
  }

 private:
  std::string_view format_;
  std::string where_;
};

std::vector<std::int64_t> moe_layers_of(const ModelConfig& model, const MoeConfig& moe) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    if (moe.is_moe_layer(layer)) layers.push_back(layer);
  }
  return layers;
}

/// Neither llama.cpp's `deepseek` nor Qwen2Moe has another router than a softmax over all experts.
void check_router(const Judge& judge, const MoeConfig& moe) {
  judge.refuse_if(moe.router == RouterKind::hash, "moe.router = \"hash\"", kOnlyGranule);
  judge.refuse_if(moe.scoring_func == ScoringFunction::sigmoid, "moe.scoring_func = \"sigmoid\"",
                  kOnlyGranule);
  judge.refuse_if(moe.has_selection_bias(),
                  fmt::format("moe.bias_update_speed = {}, which adds a bias to the selection of experts",
                              moe.bias_update_speed),
                  kOnlyGranule);
  judge.refuse_if(moe.experts_in_reach() != moe.n_routed_experts,
                  fmt::format("moe.n_group = {} with moe.topk_group = {}", moe.n_group, moe.topk_group),
                  kOnlyGranule);
  judge.refuse_if(moe.routed_scaling_factor != 1.0,
                  fmt::format("moe.routed_scaling_factor = {}", moe.routed_scaling_factor), kOnlyGranule);
}

/// llama.cpp's graph of `deepseek`: no normalisation, one run of MoE layers up to the last layer, no biases.
void check_llama_cpp(const Judge& judge, const ModelConfig& model, const MoeConfig& moe) {
  judge.refuse_if(moe.norm_topk_prob && moe.num_experts_per_tok > 1,
                  "moe.norm_topk_prob = true, because llama.cpp would not normalise", kUseQwen);
  const auto keys = moe_layer_keys(moe_layers_of(model, moe), model.num_hidden_layers);
  judge.refuse_if(!keys || keys->moe_layer_freq != 1,
                  fmt::format("moe.moe_layer_freq = {}", moe.moe_layer_freq), kUseQwen);
  judge.refuse_if(model.attention_bias, "model.attention_bias = true of a model with experts", kUseHf);
  judge.refuse_if(moe.n_routed_experts > kMostExperts,
                  fmt::format("moe.n_routed_experts = {}, because llama.cpp reads up to {}",
                              moe.n_routed_experts, kMostExperts),
                  "use --format hf or hf-qwen2moe");
}

}  // namespace

void require_expressible(ExportFormat format, const ModelConfig& model, const MoeConfig& moe,
                         const std::string& where) {
  if (format == ExportFormat::hf) return;
  const Judge judge(format, where);
  const bool has_experts = moe.count_moe_layers(model.num_hidden_layers) > 0;
  judge.refuse_if(format == ExportFormat::qwen2moe && !has_experts, "a model without experts",
                  "use --format hf or gguf");
  if (has_experts) check_router(judge, moe);
  if (format != ExportFormat::gguf) return;
  if (has_experts) check_llama_cpp(judge, model, moe);
  judge.refuse_if(model.rope_scaling.type == RopeScaling::Type::dynamic,
                  "model.rope_scaling of type \"dynamic\"", kUseHf);
}

}  // namespace granule
