#include "apps/config/hf_config.hpp"

#include <fstream>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "moe/counts.hpp"
#include "tests/support/temp_dir.hpp"

using Catch::Matchers::Contains;
using granule::hf_config_from_json;
using granule::HfConfig;
using granule::MoeConfig;
using granule::RouterKind;
using granule::ScoringFunction;
using granule::test::TempDir;
using nlohmann::json;

namespace {

// The published config.json of deepseek-moe-16b-base, as far as it says anything about the model.
json published_16b() {
  return json::parse(R"({
    "architectures": ["DeepseekForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 100000, "eos_token_id": 100001, "first_k_dense_replace": 1, "hidden_act": "silu",
    "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 10944, "max_position_embeddings": 4096,
    "model_type": "deepseek", "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_routed_experts": 64,
    "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 16, "num_experts_per_tok": 6,
    "num_hidden_layers": 28, "num_key_value_heads": 16, "pretraining_tp": 1, "rms_norm_eps": 1e-06,
    "rope_scaling": null, "rope_theta": 10000, "scoring_func": "softmax", "tie_word_embeddings": false,
    "torch_dtype": "bfloat16", "transformers_version": "4.36.0", "use_cache": true, "vocab_size": 102400})");
}

HfConfig small_config() {
  json document = published_16b();
  document["hidden_size"] = 32;
  document["num_attention_heads"] = 4;
  document["num_key_value_heads"] = 2;
  document["attention_bias"] = true;
  document["tie_word_embeddings"] = true;
  document["norm_topk_prob"] = true;
  document["seq_aux"] = false;
  document["aux_loss_alpha"] = 0.02;
  document["moe_layer_freq"] = 2;
  document["rope_theta"] = 5e5;
  document["rms_norm_eps"] = 1e-5;
  document["bos_token_id"] = nullptr;
  document["eos_token_id"] = {2, 3};
  return hf_config_from_json(document, "config.json");
}

}  // namespace

TEST_CASE("the published 16B config.json is read as the model it describes") {
  const HfConfig config = hf_config_from_json(published_16b(), "config.json");
  const auto counts = granule::count_parameters(config.model, config.moe);
  CHECK(counts.total() == 16'375'728'128);
  CHECK(counts.activated() == 2'828'650'496);
  CHECK(config.model.initializer_range == 0.02);
  CHECK(config.moe.aux_loss_alpha == 0.001);  // absent there: the class's default
  CHECK(config.moe.seq_aux);
  CHECK(config.bos_token_id == 100000);
  CHECK(config.eos_token_id == 100001);
}

TEST_CASE("absent keys get the defaults of the published class, not those of a config file") {
  const HfConfig config = hf_config_from_json({{"model_type", "deepseek"}}, "config.json");
  CHECK(config.model.vocab_size == 102400);
  CHECK(config.model.hidden_size == 4096);
  CHECK(config.model.intermediate_size == 11008);
  CHECK(config.model.num_hidden_layers == 30);
  CHECK(config.model.num_attention_heads == 32);
  CHECK(config.model.num_key_value_heads == 32);
  CHECK(config.model.max_position_embeddings == 2048);
  CHECK(config.model.initializer_range == 0.02);
  CHECK(config.moe.n_routed_experts == 0);
  CHECK(config.moe.n_shared_experts == 0);
  CHECK(config.moe.moe_intermediate_size == 1407);
  CHECK(config.moe.moe_layer_freq == 1);
}

TEST_CASE("null means none where the class has None") {
  json document = published_16b();
  document["n_shared_experts"] = nullptr;
  document["num_key_value_heads"] = nullptr;
  CHECK(hf_config_from_json(document, "x").moe.n_shared_experts == 0);
  CHECK(hf_config_from_json(document, "x").model.num_key_value_heads == 16);
  document["n_routed_experts"] = nullptr;
  CHECK(hf_config_from_json(document, "x").moe.n_routed_experts == 0);
  document["hidden_size"] = nullptr;
  CHECK_THROWS_WITH(hf_config_from_json(document, "x"), Contains("hidden_size = null"));
}

TEST_CASE("null is false or nothing where the published code takes it so") {
  json document = published_16b();
  for (const char* key : {"attention_bias", "tie_word_embeddings", "norm_topk_prob"}) document[key] = nullptr;
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
  document["first_k_dense_replace"] = 0;
  document["intermediate_size"] = nullptr;
  CHECK(hf_config_from_json(document, "x").model.intermediate_size == 0);
  document["first_k_dense_replace"] = 1;
  CHECK_THROWS_WITH(hf_config_from_json(document, "x"), Contains("intermediate_size"));
  document = published_16b();
  for (const char* key : {"moe_intermediate_size", "aux_loss_alpha", "seq_aux", "moe_layer_freq"}) {
    document[key] = nullptr;
    document["n_routed_experts"] = 64;
    CHECK_THROWS_WITH(hf_config_from_json(document, "x"), Contains(key));
    document["n_routed_experts"] = nullptr;
    CHECK(hf_config_from_json(document, "x").moe.n_routed_experts == 0);
    document[key] = published_16b().value(key, json());
    if (document[key].is_null()) document.erase(key);
  }
}

TEST_CASE("a config without model_type is read unless its architecture is another") {
  json document = published_16b();
  document.erase("model_type");
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
  document["architectures"] = {"LlamaForCausalLM"};
  CHECK_THROWS_WITH(hf_config_from_json(document, "x"), Contains("LlamaForCausalLM"));
  document.erase("architectures");
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
}

TEST_CASE("key-value heads left out are the class's 32 where that fits, else one for each head") {
  json document = published_16b();
  document.erase("num_key_value_heads");
  CHECK(hf_config_from_json(document, "x").model.num_key_value_heads == 16);
  document["num_attention_heads"] = 64;
  CHECK(hf_config_from_json(document, "x").model.num_key_value_heads == 32);
}

TEST_CASE("what would compute another model is refused by name") {
  const std::vector<std::pair<std::string, json>> rows{
      {"model_type", "deepseek_v2"},
      {"model_type", nullptr},
      {"hidden_act", "gelu"},
      {"scoring_func", "tanh"},
      {"attention_dropout", 0.1},
      {"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}},
      {"rope_scaling", {{"rope_type", "llama3"}, {"factor", 2.0}}},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}, {"original_max_position_embeddings", 1024}}},
      {"rope_scaling", {{"type", "linear"}, {"factor", 0.5}}},
      {"routed_scaling_factor", -2.5},
      {"n_group", 7},
      {"head_dim", 64},
      {"quantization_config", {{"bits", 4}}},
      {"hidden_size", 2049},
      {"hidden_size", "2048"},
      {"num_experts_per_tok", 65},
      {"num_experts_per_tok", nullptr},
      {"vocab_size", -1}};
  for (const auto& [name, value] : rows) {
    json document = published_16b();
    document[name] = value;
    INFO(name << " = " << value.dump());
    CHECK_THROWS_WITH(hf_config_from_json(document, "hub/config.json"),
                      Contains(name) && Contains("hub/config.json"));
  }
}

TEST_CASE("models that the published class does not compute are marked as ours, and read back") {
  const auto changes = std::vector<void (*)(MoeConfig&)>{
      [](MoeConfig& c) { c.scoring_func = ScoringFunction::sigmoid; },
      [](MoeConfig& c) { c.routed_scaling_factor = 2.5; },
      [](MoeConfig& c) { c.n_group = 8, c.topk_group = 4; },
      [](MoeConfig& c) { c.bias_update_speed = 0.001; },
      [](MoeConfig& c) { c.router = RouterKind::hash, c.hash_seed = 3, c.aux_loss_alpha = 0.0; }};
  for (const auto change : changes) {
    HfConfig config = hf_config_from_json(published_16b(), "x");
    change(config.moe);
    const json document = to_json(config, "float32");
    INFO(document.dump());
    CHECK(document["model_type"] == "granule");
    CHECK(!document.contains("auto_map"));
    CHECK(hf_config_from_json(document, "x") == config);
  }
  HfConfig config = hf_config_from_json(published_16b(), "x");
  config.moe.z_loss_alpha = 0.001;  // training alone
  CHECK(to_json(config, "float32")["model_type"] == "deepseek");
  CHECK(hf_config_from_json(to_json(config, "float32"), "x") == config);
}

TEST_CASE("keys that do not change what is computed are ignored") {
  json document = published_16b();
  document["pretraining_tp"] = 2;
  document["use_cache"] = false;
  document["some_future_key"] = {1, 2, 3};
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
}

TEST_CASE("a config written for Hugging Face is read back the same") {
  const HfConfig config = small_config();
  CHECK(config.eos_token_id == 2);
  CHECK(hf_config_from_json(to_json(config, "float32"), "x") == config);
  HfConfig dense = config;
  dense.moe = {};
  CHECK(hf_config_from_json(to_json(dense, "float32"), "x") == dense);
}

TEST_CASE("rope scaling is read in the spellings of old and new transformers, and written in the old one") {
  for (const auto& [name, type] : {std::pair{"linear", granule::RopeScaling::Type::linear},
                                   std::pair{"dynamic", granule::RopeScaling::Type::dynamic}}) {
    json document = published_16b();
    const granule::RopeScaling expected{type, 2.0};
    const json old{{"type", name}, {"factor", 2.0}};
    for (const json& spelling : {old, json{{"rope_type", name}, {"factor", 2.0}},
                                 json{{"rope_type", name}, {"type", name}, {"factor", 2.0}}}) {
      document["rope_scaling"] = spelling;
      const HfConfig config = hf_config_from_json(document, "x");
      CHECK(config.model.rope_scaling == expected);
      CHECK(config.model.positions() == 8192);
      const json written = to_json(config, "float32");
      CHECK(written["rope_scaling"] == old);  // the published class wants exactly these two
      CHECK(written["rope_scaling"]["factor"].is_number_float());
      CHECK(hf_config_from_json(written, "x") == config);
    }
  }
  json document = published_16b();
  document["rope_scaling"] = {{"rope_type", "default"}};
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
  CHECK(to_json(hf_config_from_json(document, "x"), "float32")["rope_scaling"].is_null());
}

TEST_CASE("a written config.json says what loaders look for") {
  const json written = to_json(hf_config_from_json(published_16b(), "x"), "bfloat16");
  json published = published_16b();
  for (const auto& [key, value] : published.items()) {
    INFO(key);
    CHECK(written[key] == value);
  }
  CHECK(written["auto_map"]["AutoModelForCausalLM"] ==
        "deepseek-ai/deepseek-moe-16b-base--modeling_deepseek.DeepseekForCausalLM");
  CHECK(written["aux_loss_alpha"] == 0.001);
  HfConfig dense;
  dense.model = small_config().model;
  CHECK(to_json(dense, "float32")["n_routed_experts"].is_null());
  CHECK(to_json(dense, "float32")["tie_word_embeddings"] == true);
  CHECK(to_json(dense, "float32")["norm_topk_prob"] == false);
}

TEST_CASE("a directory without a readable config.json is refused") {
  const TempDir directory;
  CHECK_THROWS_WITH(granule::read_hf_config(directory.path()), Contains("no config.json"));
  std::ofstream(directory / "config.json") << "{\"model_type\": ";
  CHECK_THROWS_WITH(granule::read_hf_config(directory.path()), Contains("not valid JSON"));
  std::ofstream(directory / "config.json") << "[]";
  CHECK_THROWS_WITH(granule::read_hf_config(directory.path()), Contains("not a JSON object"));
  std::ofstream(directory / "config.json") << R"({"model_type": "deepseek", "model_type": "deepseek"})";
  CHECK_THROWS_WITH(granule::read_hf_config(directory.path()), Contains("given twice"));
}

TEST_CASE("a run starts from a Hugging Face model with its shape and the file's other values") {
  const TempDir directory;
  std::ofstream(directory / "config.json") << published_16b();
  std::ofstream(directory / "run.toml") << "[moe]\naux_loss_alpha = 0.01\n[train]\nsteps = 3\n";
  granule::ConfigOptions options;
  options.base = granule::config_base_from(directory.path());
  const auto config = load_run_config(directory / "run.toml", {}, options);
  CHECK(config.model.hidden_size == 2048);
  CHECK(config.model.initializer_range == 0.02);
  CHECK(config.moe.aux_loss_alpha == 0.01);
  CHECK(config.data.seq_len == 4096);
}
