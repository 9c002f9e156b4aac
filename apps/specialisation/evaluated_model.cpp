#include "apps/specialisation/evaluated_model.hpp"

#include <algorithm>

#include <fmt/ranges.h>

#include "apps/config/config_reader.hpp"
#include "apps/config/run_config_keys.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

// For models that do not say on what length they were trained.
constexpr std::int64_t kLongestByDefault = 4096;

/// The keys that an evaluation reads. Those of the shape are not in this list; they are refused where they
/// are read.
constexpr std::string_view kKeys[] = {"model.max_position_embeddings",
                                      "model.rms_norm_eps",
                                      "model.rope_theta",
                                      "model.rope_scaling",
                                      "moe.num_experts_per_tok",
                                      "moe.norm_topk_prob",
                                      "moe.routed_scaling_factor",
                                      "moe.n_group",
                                      "moe.topk_group",
                                      "moe.capacity_factor",
                                      "moe.seq_aux",
                                      "data.seq_len",
                                      "data.document_mask",
                                      "train.micro_batch_size",
                                      "train.dtype",
                                      "train.device",
                                      "train.threads"};

void refuse_keys_without_effect(std::span<const std::string> overrides) {
  for (const std::string& text : overrides) {
    const ConfigEntry entry = parse_override(text);
    for (const ConfigKey& key : config_keys()) {
      if (key.name != entry.key || key.trait == ConfigKey::Trait::shape) continue;
      if (std::find(std::begin(kKeys), std::end(kKeys), key.name) != std::end(kKeys)) continue;
      user_error(fmt::format("{} has no effect on an evaluation", key.name), entry.where,
                 fmt::format("leave it out; keys that have one: {}", fmt::join(kKeys, ", ")));
    }
  }
}

/// A dense model has no experts that a key of [moe] could change.
void refuse_experts_of_dense_model(const RunConfig& config, std::span<const std::string> overrides) {
  if (config.moe.n_routed_experts > 0) return;
  for (const std::string& text : overrides) {
    const ConfigEntry entry = parse_override(text);
    if (!entry.key.starts_with("moe.")) continue;
    user_error(fmt::format("{} has no effect on a dense model", entry.key), entry.where, "leave it out");
  }
}

RunConfig config_of(const ModelFiles& model, std::span<const std::string> overrides) {
  refuse_keys_without_effect(overrides);
  ConfigBase base = model.config_base();
  base.config.train.batch_size = 0;       // an evaluation has none, so any micro_batch_size divides it
  base.config.moe.capacity_factor = 0.0;  // an evaluation is dropless unless the user asks for a capacity
  base.config.train.threads = 0;          // the machine that it was trained on may have had others
  if (base.config.data.seq_len == 0)
    base.config.data.seq_len = std::min(base.config.model.max_position_embeddings, kLongestByDefault);
  RunConfig config = override_run_config(overrides, {.base = base});
  refuse_experts_of_dense_model(config, overrides);
  return config;
}

bool sets(std::span<const std::string> overrides, std::string_view key) {
  return std::ranges::any_of(overrides,
                             [&](const std::string& text) { return parse_override(text).key == key; });
}

}  // namespace

EvaluatedModel evaluated_model(const ModelFiles& files, std::span<const std::string> overrides,
                               AblationRequest request) {
  EvaluatedModel model{config_of(files, overrides)};
  request.sets_experts_per_token = sets(overrides, "moe.num_experts_per_tok");
  model.masked_share = request.masked_share();
  model.ablation = take_ablation(request, model.config);
  return model;
}

void EvaluatedModel::fit_to_text(std::int64_t tokens) {
  std::int64_t& seq_len = config.data.seq_len;
  if (tokens < 2) return;
  if (tokens <= seq_len) {
    say("the text has {} tokens with its EOS: data.seq_len is {} and not {}", tokens, tokens - 1, seq_len);
    seq_len = tokens - 1;
  }
  if (const std::int64_t rest = (tokens - 1) % seq_len; rest > 0)
    say("the last {} of {} tokens fill no sequence and are not measured", rest, tokens);
}

}  // namespace granule
