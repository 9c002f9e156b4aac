#include "apps/models/hf_foreign_keys.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include <nlohmann/json.hpp>

#include "apps/config/run_config_keys.hpp"
#include "apps/config/run_config_pending.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

/// apps/models/hf_config.cpp itself reads these.
constexpr std::string_view kRead[] = {"model_type",          "architectures",     "auto_map",
                                      "quantization_config", "attention_dropout", "bos_token_id",
                                      "eos_token_id",        "rope_parameters"};

/// These say how a model was saved, is trained, or is used to generate text. None of their values changes its
/// logits.
constexpr std::string_view kSilent[] = {
    // How the file was made.
    "transformers_version", "torch_dtype", "dtype", "name_or_path", "_name_or_path", "_commit_hash",
    "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal",
    "attn_implementation", "unsloth_version", "unsloth_fixed", "tokenizer_class", "transformers.js_config",
    "finetuning_task", "task_specific_params", "problem_type", "id2label", "label2id", "num_labels",
    "model_max_length", "prefix", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id",
    "mask_token_id", "decoder_start_token_id",
    // How it is run.
    "use_cache", "pretraining_tp", "ep_size", "return_dict", "use_return_dict", "output_attentions",
    "output_hidden_states", "output_router_logits", "torchscript", "use_bfloat16", "tf_legacy_loss",
    "chunk_size_feed_forward", "gradient_checkpointing", "is_decoder", "cache_implementation",
    // How it is trained.
    "router_aux_loss_coef", "router_z_loss_coef",
    // How text was generated, in files of transformers before 4.41.
    "max_length", "min_length", "max_new_tokens", "min_new_tokens", "do_sample", "early_stopping",
    "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "min_p",
    "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    // Keys without effect, because the features that they belong to must be off.
    "max_window_layers"};

/// A key and the values of it that change nothing. For every key, null is such a value.
struct Row {
  std::string_view key;
  std::vector<json> neutral;
};

/// The same with the values as JSON.
struct FixedRow {
  std::string_view key, neutral;
};

constexpr FixedRow kFixedRows[] = {
    // Positions.
    {"partial_rotary_factor", "[1]"},
    {"rotary_pct", "[1]"},
    {"rope_ratio", "[1]"},
    {"rope_interleave", "[false]"},
    {"rope_interleaved", "[false]"},
    {"rope_local_base_freq", "[]"},
    {"local_rope_theta", "[]"},
    {"global_rope_theta", "[]"},
    {"no_rope_layers", "[[]]"},
    {"no_rope_layer_interval", "[]"},
    {"alibi", "[false]"},
    {"use_alibi", "[false]"},
    {"use_rope", "[true]"},
    {"position_embedding_type", R"(["rope", "rotary"])"},
    // Attention.
    {"use_sliding_window", "[false]"},
    {"attention_chunk_size", "[]"},
    {"use_qk_norm", "[false]"},
    {"qk_norm", "[false]"},
    {"qk_layernorm", "[false]"},
    {"use_qk_layernorm", "[false]"},
    {"clip_qkv", "[]"},
    {"attn_logit_softcapping", "[]"},
    {"attn_temperature_tuning", "[false, 0]"},
    {"scale_attn_weights", "[true]"},
    {"scale_attn_by_inverse_layer_idx", "[false]"},
    {"attention_sink", "[false]"},
    {"q_lora_rank", "[]"},
    {"kv_lora_rank", "[]"},
    {"qk_rope_head_dim", "[]"},
    {"qk_nope_head_dim", "[]"},
    {"v_head_dim", "[]"},
    {"index_topk", "[]"},
    {"is_causal", "[true]"},
    {"causal", "[true]"},
    {"is_encoder_decoder", "[false]"},
    {"add_cross_attention", "[false]"},
    {"tie_encoder_decoder", "[false]"},
    {"pruned_heads", "[{}]"},
    // Biases, and values that are dropped.
    {"mlp_bias", "[false]"},
    {"use_bias", "[false]"},
    {"bias", "[false]"},
    {"add_bias_linear", "[false]"},
    {"lm_head_bias", "[false]"},
    {"resid_pdrop", "[0]"},
    {"embd_pdrop", "[0]"},
    {"attn_pdrop", "[0]"},
    {"dropout", "[0]"},
    {"hidden_dropout", "[0]"},
    {"residual_dropout", "[0]"},
    {"embedding_dropout", "[0]"},
    {"hidden_dropout_prob", "[0]"},
    {"attention_probs_dropout_prob", "[0]"},
    {"router_jitter_noise", "[0]"},
    // Factors.
    {"logits_scaling", "[1]"},
    {"logit_scale", "[1]"},
    {"final_logit_softcapping", "[]"},
    {"logits_soft_cap", "[]"},
    {"embedding_multiplier", "[1]"},
    {"residual_multiplier", "[1]"},
    {"lm_head_multiplier", "[1]"},
    {"key_multiplier", "[1]"},
    {"scale_emb", "[1]"},
    {"mup_enabled", "[false]"},
    {"use_mup", "[false]"},
    {"swiglu_limit", "[]"},
    // Layers and experts.
    {"mlp_only_layers", "[[]]"},
    {"decoder_sparse_step", "[1]"},
    {"num_nextn_predict_layers", "[0]"},
    {"use_parallel_residual", "[false]"},
    {"parallel_attn", "[false]"},
    {"num_experts_per_token", "[]"}};

/// Rows whose neutral value depends on the model.
std::vector<Row> following_rows(const json& document, const ModelConfig& model, const MoeConfig& moe) {
  std::vector<json> methods{"noaux_tc"};
  if (moe.scoring_func == ScoringFunction::softmax) methods = {"group_limited_greedy"};
  if (moe.scoring_func == ScoringFunction::softmax && moe.n_group == 1) {
    methods.emplace_back("greedy");
    methods.emplace_back("gready");  // the spelling of the published class of DeepSeek-V2
  }
  const std::vector<json> shared{moe.n_shared_experts * moe.moe_intermediate_size};
  std::vector<Row> rows{{"head_dim", {model.head_dim()}},
                        {"query_pre_attn_scalar", {model.head_dim()}},
                        {"qkv_bias", {model.attention_bias}},
                        {"use_qkv_bias", {model.attention_bias}},
                        {"tie_embeddings", {model.tie_word_embeddings}},
                        {"original_max_position_embeddings", {model.max_position_embeddings}},
                        {"dim_model_base", {model.hidden_size}},
                        {"word_embed_proj_dim", {model.hidden_size}},
                        {"num_experts", {moe.n_routed_experts}},
                        {"num_local_experts", {moe.n_routed_experts}},
                        {"shared_expert_intermediate_size", shared},
                        {"hidden_activation", {"silu"}},
                        {"topk_method", methods}};
  if (document.value("use_sliding_window", json()) != json(false)) rows.push_back({"sliding_window", {}});
  return rows;
}

bool is_neutral(const json& value, const std::vector<json>& neutral) {
  return value.is_null() || std::find(neutral.begin(), neutral.end(), value) != neutral.end();
}

[[noreturn]] void refuse(std::string_view key, const json& value, std::string_view where,
                         const std::string& advice) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  constexpr std::size_t kLongest = 200;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  user_error(fmt::format("{} = {} is not supported", key, text), where, advice);
}

void check_row(const json& document, const Row& row, std::string_view where) {
  const json value = document.value(std::string(row.key), json());
  if (is_neutral(value, row.neutral)) return;
  std::string readable;
  for (const json& neutral : row.neutral)
    readable += fmt::format("{}{}", readable.empty() ? "" : " or ", neutral.dump());
  refuse(row.key, value, where,
         fmt::format("models with {} {} can be read", row.key, readable.empty() ? "null" : readable));
}

/// If it is given, it must be 1 / √D. Files round it to about six digits.
void check_attention_multiplier(const json& document, const ModelConfig& model, std::string_view where) {
  const json value = document.value("attention_multiplier", json());
  const double ours = 1.0 / std::sqrt(static_cast<double>(model.head_dim()));
  if (value.is_null() || (value.is_number() && std::abs(value.get<double>() - ours) <= 1e-6 * ours)) return;
  refuse("attention_multiplier", value, where,
         fmt::format("models with attention_multiplier {} (1 / √head_dim) can be read", ours));
}

void check_layer_types(const json& document, const ModelConfig& model, std::string_view where) {
  const json types = document.value("layer_types", json());
  const auto full = [](const json& type) { return type == "full_attention"; };
  if (types.is_null()) return;
  if (types.is_array() && std::ssize(types) == model.num_hidden_layers &&
      std::all_of(types.begin(), types.end(), full))
    return;
  refuse("layer_types", types, where,
         fmt::format("models with {} layers of \"full_attention\" can be read", model.num_hidden_layers));
}

bool has(std::span<const std::string_view> names, std::string_view key) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

bool is_key_of_run(std::string_view name) {
  const std::string as_model = fmt::format("model.{}", name), as_moe = fmt::format("moe.{}", name);
  const auto& keys = config_keys();
  return is_pending_only(as_model) || is_pending_only(as_moe) ||
         std::any_of(keys.begin(), keys.end(),
                     [&](const ConfigKey& key) { return key.name == as_model || key.name == as_moe; });
}

/// Words in the names of keys that are known to change what models compute.
bool speaks_of_model(std::string_view key) {
  constexpr std::string_view kWords[] = {
      "attention", "attn", "rope",   "rotary", "position", "norm",   "scal",  "cap",     "multiplier",
      "window",    "bias", "drop",   "clip",   "lora",     "expert", "moe",   "rout",    "gate",
      "gating",    "mlp",  "ffn",    "head",   "layer",    "activ",  "resid", "embed",   "mup",
      "alibi",     "mask", "qk",     "kv",     "query",    "logit",  "theta", "softmax", "topk",
      "group",     "sink", "hidden", "width",  "conv",     "ssm",    "mamba", "causal",  "quant"};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return key.find(word) != std::string_view::npos; });
}

bool says_nothing(const json& value) {
  return value.is_null() || value == json(false) || value == json("") ||
         (value.is_structured() && value.empty());
}

}  // namespace

std::vector<std::string> judge_foreign_keys(const json& document, const ModelConfig& model,
                                            const MoeConfig& moe, std::string_view where) {
  std::vector<Row> rows = following_rows(document, model, moe);
  for (const auto& [key, neutral] : kFixedRows)
    rows.push_back({key, json::parse(neutral).get<std::vector<json>>()});
  std::set<std::string_view> judged{"attention_multiplier", "layer_types", "sliding_window"};
  for (const Row& row : rows) {
    check_row(document, row, where);
    judged.insert(row.key);
  }
  check_attention_multiplier(document, model, where);
  check_layer_types(document, model, where);
  std::vector<std::string> passed_over;
  for (const auto& [key, value] : document.items()) {
    const bool understood =
        has(kRead, key) || has(kSilent, key) || judged.contains(key) || is_key_of_run(key);
    if (understood || says_nothing(value)) continue;
    if (speaks_of_model(key))
      refuse(key, value, where,
             "the key is not known here; take it out of config.json if the model is the same without it");
    passed_over.push_back(key);
  }
  return passed_over;
}

}  // namespace granule
