#include "apps/models/hf_config.hpp"

#include <algorithm>
#include <functional>

#include <nlohmann/json.hpp>

#include "apps/config/run_config_check.hpp"
#include "apps/config/run_config_keys.hpp"
#include "apps/config/run_config_pending.hpp"
#include "apps/models/hf_foreign_keys.hpp"
#include "apps/models/hf_rope.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::string_view kPublished = "deepseek-ai/deepseek-moe-16b-base--";
constexpr const char* kArchitecture = "DeepseekForCausalLM";
constexpr const char* kOwnType = "granule";
constexpr const char* kOwnArchitecture = "GranuleForCausalLM";

// The defaults of DeepseekConfig (the published configuration_deepseek.py). What is None there is 0 here.
RunConfig class_defaults() {
  RunConfig config;
  config.model.vocab_size = 102400;
  config.model.hidden_size = 4096;
  config.model.num_hidden_layers = 30;
  config.model.num_attention_heads = 32;
  config.model.num_key_value_heads = 32;
  config.model.intermediate_size = 11008;
  config.model.max_position_embeddings = 2048;
  config.model.initializer_range = 0.02;
  config.moe.moe_intermediate_size = 1407;
  config.moe.aux_loss_alpha = 0.001;
  return config;
}

bool is_model_key(const ConfigKey& key) {
  return key.table() == "model" || key.table() == "moe";
}

/// Whether the published class computes this model. It would compute something else without a warning if it
/// did not know a feature.
bool is_published(const MoeConfig& moe) {
  const MoeConfig neutral;
  return moe.n_routed_experts == 0 ||
         (moe.router == neutral.router && moe.scoring_func == neutral.scoring_func && moe.n_group == 1 &&
          moe.routed_scaling_factor == 1.0 && !moe.has_selection_bias());
}

/// Keys of this program's routers, which the published class does not have.
bool is_own_key(std::string_view name) {
  constexpr std::string_view kOwn[] = {"router",         "hash_seed",    "routed_scaling_factor",
                                       "n_group",        "topk_group",   "device_loss_alpha",
                                       "device_groups",  "z_loss_alpha", "bias_update_speed",
                                       "capacity_factor"};
  return std::find(std::begin(kOwn), std::end(kOwn), name) != std::end(kOwn);
}

bool may_be_null(std::string_view name) {
  return name == "num_key_value_heads" || name == "n_routed_experts" || name == "n_shared_experts" ||
         name == "num_experts_per_tok";
}

void refuse(std::string_view name, const json& value, std::string_view where, std::string_view supported) {
  user_error(fmt::format("{} = {} is not supported", name,
                         value.dump(-1, ' ', false, json::error_handler_t::replace)),
             where, fmt::format("models with {} can be read", supported));
}

void refuse_other_models(const json& document, std::string_view where) {
  // Configs that were saved without the class that wrote them have no model_type. An architecture still tells
  // it.
  if (const auto type = document.find("model_type");
      type != document.end() && *type != "deepseek" && *type != kOwnType)
    refuse("model_type", *type, where, "model_type \"deepseek\" or \"qwen2_moe\"");
  const json architectures = document.value("architectures", json());
  if (!document.contains("model_type") && !architectures.is_null() &&
      architectures != json::array({kArchitecture}) && architectures != json::array({kOwnArchitecture}))
    refuse("architectures", architectures, where, kArchitecture);
  const json quantised = document.value("quantization_config", json());
  if (!quantised.is_null()) refuse("quantization_config", quantised, where, "unquantised weights");
}

/// If something is wrong with a key of a run, it becomes a fault, and the user can correct it by setting that
/// key.
void collect(std::vector<ConfigFault>& faults, std::string_view key, const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    faults.push_back({std::string(key), error});
  }
}

void refuse_pending_keys(const json& document, std::string_view where, std::vector<ConfigFault>& faults) {
  for (const PendingKey& key : pending_keys()) {
    const auto dot = key.key.find('.');
    const std::string_view table = key.key.substr(0, dot);
    const json value = document.value(std::string(key.key.substr(dot + 1)), json());
    if ((table != "model" && table != "moe") || value.is_null()) continue;
    collect(faults, key.key, [&] { refuse_pending(key.key, value, where); });
  }
}

bool is_dense(const json& document) {
  const json experts = document.value("n_routed_experts", json());
  return experts.is_null() || experts == 0;
}

// To the published code None is false. A dense model never reads the keys of experts, and a model without
// dense layers never reads their width. Any other null would stop that code, so it is refused here like a
// wrong type.
bool null_is_default(const RunConfig& defaults, const ConfigKey& key, const json& document) {
  return is_own_key(key.leaf()) || key.name == "model.rope_scaling" || key.get(defaults) == json(false) ||
         (key.table() == "moe" && is_dense(document));
}

// Reads a key of the run's tables by its bare name, which is the same on both sides.
void read_key(RunConfig& config, const ConfigKey& key, const RopeKeys& keys, std::string_view where) {
  const std::string name(key.leaf());
  const json& document = keys.document;
  if (!document.contains(name)) return;
  json value = document[name];
  if (value.is_null() && null_is_default(config, key, document)) return;
  if (value.is_null() && (may_be_null(name) || name == "intermediate_size")) value = 0;
  key.set(config, {std::string(keys.written_name(name)), std::move(value), std::string(where), {}, {}});
}

// None means one key/value head for each head. The default of the class, 32, fits larger models only. A
// smaller model without the key means None, too, and the shapes of the weights will confirm it.
void settle_key_value_heads(ModelConfig& model, const json& document) {
  const bool given = document.contains("num_key_value_heads") && model.num_key_value_heads != 0;
  if (!given &&
      (model.num_key_value_heads == 0 || model.num_attention_heads % model.num_key_value_heads != 0))
    model.num_key_value_heads = model.num_attention_heads;
}

void refuse_dropout(const json& document, std::string_view where) {
  const json dropout = document.value("attention_dropout", json());
  if (!dropout.is_null() && dropout != 0.0)
    refuse("attention_dropout", dropout, where, "attention_dropout 0");
}

std::optional<std::int64_t> token_id(const json& document, const char* name) {
  json value = document.value(name, json());
  if (value.is_array() && !value.empty()) value = json(value[0]);
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<std::int64_t>();
}

json id_or_null(std::optional<std::int64_t> id) {
  return id ? json(*id) : json();
}

/// Which class computes the model. If only this program does, other programs must not take it for a model
/// that they know.
json class_of(const MoeConfig& moe) {
  if (!is_published(moe)) return {{"architectures", {kOwnArchitecture}}, {"model_type", kOwnType}};
  return {{"architectures", {kArchitecture}},
          {"auto_map",
           {{"AutoConfig", fmt::format("{}configuration_deepseek.DeepseekConfig", kPublished)},
            {"AutoModel", fmt::format("{}modeling_deepseek.DeepseekModel", kPublished)},
            {"AutoModelForCausalLM", fmt::format("{}modeling_deepseek.{}", kPublished, kArchitecture)}}},
          {"model_type", "deepseek"}};
}

ConfigBase base_of(const HfReading& reading, std::string name) {
  ConfigBase base{{}, std::move(name), reading.faults};
  base.config.model = reading.config.model;
  base.config.moe = reading.config.moe;
  return base;
}

}  // namespace

HfReading read_hf_document(const json& written, std::string_view where) {
  if (!written.is_object()) user_error("the model's config is no JSON object", where, "restore the file");
  refuse_other_models(written, where);
  HfReading reading;
  const RopeKeys keys = old_rope_keys(written, where, reading.faults);
  const json& document = keys.document;
  refuse_pending_keys(document, where, reading.faults);
  RunConfig config = class_defaults();
  for (const ConfigKey& key : config_keys()) {
    if (is_model_key(key)) collect(reading.faults, key.name, [&] { read_key(config, key, keys, where); });
  }
  settle_key_value_heads(config.model, document);
  reading.config = {config.model, config.moe, token_id(document, "bos_token_id"),
                    token_id(document, "eos_token_id")};
  collect(reading.faults, "", [&] {
    refuse_dropout(document, where);
    reading.passed_over = judge_foreign_keys(document, config.model, config.moe, where);
  });
  return reading;
}

HfConfig hf_config_from_json(const json& document, std::string_view where) {
  const HfReading reading = read_hf_document(document, where);
  require_model(base_of(reading, std::string(where)));
  return reading.config;
}

json to_json(const HfConfig& config, std::string_view torch_dtype) {
  json document = class_of(config.moe);
  document.update({{"torch_dtype", torch_dtype},
                   {"transformers_version", "4.36.0"},
                   {"hidden_act", "silu"},
                   {"attention_dropout", 0.0},
                   {"pretraining_tp", 1},
                   {"use_cache", true},
                   {"bos_token_id", id_or_null(config.bos_token_id)},
                   {"eos_token_id", id_or_null(config.eos_token_id)}});
  RunConfig run;
  run.model = config.model;
  run.moe = config.moe;
  for (const ConfigKey& key : config_keys()) {
    if (!is_model_key(key)) continue;
    const json value = key.get(run);
    if (is_own_key(key.leaf()) && value == key.get(RunConfig{})) continue;
    // None switches experts off in the published class. A zero there would still build them.
    const bool none = (value == 0 && !value.is_boolean() && may_be_null(key.leaf())) ||
                      (value == "none" && key.leaf() == "rope_scaling");
    document[std::string(key.leaf())] = none ? json() : value;
  }
  return document;
}

json to_json(const HfConfig& config, std::string_view torch_dtype, const json& source) {
  json document = source;
  // These are other spellings of keys that are written below. Which class computed the source does not matter
  // any more.
  for (const char* const key : {"rope_parameters", "dtype", "auto_map"}) document.erase(key);
  document.update(to_json(config, torch_dtype));
  for (const char* const key : {"bos_token_id", "eos_token_id"}) {
    if (token_id(source, key)) document[key] = source[key];  // it may be a list
  }
  if (source.contains("use_cache")) document["use_cache"] = source["use_cache"];
  return document;
}

HfBase config_base_from(const json& document, const std::string& where) {
  HfReading reading = read_hf_document(document, where);
  return {base_of(reading, where), std::move(reading.passed_over)};
}

}  // namespace granule
