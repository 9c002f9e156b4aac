#include "apps/models/hf_config.hpp"

#include <cmath>
#include <fstream>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/strict_json.hpp"
#include "data/models/hf_directory.hpp"
#include "moe/model/counts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using Catch::Contains;
using granule::hf_config_from_json;
using granule::HfConfig;
using granule::MoeConfig;
using granule::RouterKind;
using granule::ScoringFunction;
using granule::test::TempDir;
using nlohmann::json;

namespace {

// The published config.json of deepseek-moe-16b-base, with every key that describes the model.
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

granule::ConfigBase base_in(const TempDir& directory) {
  const auto path = directory / "config.json";
  return granule::config_base_from(granule::load_json_object(path), path.string()).base;
}

}  // namespace

TEST_CASE("hf_config: the published 16B config.json is read as the model it describes") {
  const HfConfig config = hf_config_from_json(published_16b(), "config.json");
  const auto counts = granule::count_parameters(config.model, config.moe);
  CHECK(counts.total() == 16'375'728'128);
  CHECK(counts.activated() == 2'828'650'496);
  CHECK(config.model.initializer_range == 0.02);
  CHECK(config.moe.aux_loss_alpha == 0.001);  // the file has no such key, so this is the class's default
  CHECK(config.moe.seq_aux);
  CHECK(config.bos_token_id == 100000);
  CHECK(config.eos_token_id == 100001);
}

TEST_CASE("hf_config: absent keys get the defaults of the published class, not those of a config file") {
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

TEST_CASE("hf_config: null means none where the class has None") {
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

TEST_CASE("hf_config: null is false or nothing where the published code takes it so") {
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

TEST_CASE("hf_config: a config without model_type is read unless its architecture is another") {
  json document = published_16b();
  document.erase("model_type");
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
  document["architectures"] = {"LlamaForCausalLM"};
  CHECK_THROWS_WITH(hf_config_from_json(document, "x"), Contains("LlamaForCausalLM"));
  document.erase("architectures");
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
}

TEST_CASE("hf_config: key-value heads left out are the class's 32 where that fits, else one for each head") {
  json document = published_16b();
  document.erase("num_key_value_heads");
  CHECK(hf_config_from_json(document, "x").model.num_key_value_heads == 16);
  document["num_attention_heads"] = 64;
  CHECK(hf_config_from_json(document, "x").model.num_key_value_heads == 32);
}

TEST_CASE("hf_config: what would compute another model is refused by name") {
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

TEST_CASE("hf_config: models that the published class does not compute are marked as ours, and read back") {
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
  config.moe.z_loss_alpha = 0.001;  // this only affects training
  CHECK(to_json(config, "float32")["model_type"] == "deepseek");
  CHECK(hf_config_from_json(to_json(config, "float32"), "x") == config);
}

TEST_CASE("hf_config: keys that do not change what is computed are ignored") {
  json document = published_16b();
  document["pretraining_tp"] = 2;
  document["use_cache"] = false;
  document["some_future_key"] = {1, 2, 3};
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
}

TEST_CASE("hf_config: a config written for Hugging Face is read back the same") {
  const HfConfig config = small_config();
  CHECK(config.eos_token_id == 2);
  CHECK(hf_config_from_json(to_json(config, "float32"), "x") == config);
  HfConfig dense = config;
  dense.moe = {};
  CHECK(hf_config_from_json(to_json(dense, "float32"), "x") == dense);
}

TEST_CASE(
    "hf_config: rope scaling is read in the spellings of old and new transformers, and written in the old "
    "one") {
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

TEST_CASE("hf_config: rope_parameters of transformers 5 say what rope_theta and rope_scaling said before") {
  json old = published_16b(), document = published_16b();
  document.erase("rope_theta");
  document.erase("rope_scaling");
  const auto same = [&](const json& parameters) {
    INFO(parameters.dump());
    document["rope_parameters"] = parameters;
    CHECK(hf_config_from_json(document, "x") == hf_config_from_json(old, "x"));
  };
  same({{"rope_type", "default"}});
  same(nullptr);
  old["rope_theta"] = 500.0;
  const json plain{{"rope_theta", 500.0}};
  for (const json& parameters :
       {plain, json{{"rope_type", "default"}, {"rope_theta", 500}}, json{{"full_attention", plain}},
        json{{"type", "default"}, {"rope_theta", 500.0}, {"factor", nullptr}},
        json{{"rope_theta", 500.0}, {"partial_rotary_factor", 1.0}},
        json{{"rope_type", "default"}, {"factor", 1.0}, {"rope_theta", 500.0}},
        json{{"rope_type", "linear"}, {"factor", 1.0}, {"rope_theta", 500.0}},
        json{{"full_attention", plain}, {"sliding_attention", plain}},
        json{{"full_attention", plain}, {"sliding_attention", nullptr}}})
    same(parameters);
  document["layer_types"] = json::array();
  for (int i = 0; i < 28; ++i) document["layer_types"].push_back("full_attention");
  same({{"full_attention", plain}, {"sliding_attention", {{"rope_theta", 9.0}}}});
  document["rope_theta"] = 500;  // the file has both, and they agree
  same(plain);
  old["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  same({{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500.0}});
  document["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  same({{"rope_type", "linear"}, {"factor", 4.0}, {"original_max_position_embeddings", 4096}});
  const json written = to_json(hf_config_from_json(document, "x"), "float32", document);
  CHECK(written["rope_theta"] == 500.0);
  CHECK(written["rope_scaling"] == old["rope_scaling"]);
  CHECK(!written.contains("rope_parameters"));
}

TEST_CASE(
    "hf_config: rope_parameters that are not understood, or contradict older keys, are refused by name") {
  const json yarn{{"rope_type", "yarn"}, {"factor", 4.0}, {"rope_theta", 500.0}};
  const std::vector<std::pair<json, std::string>> rows{
      {yarn, "rope_parameters.type = \"yarn\""},
      {{{"full_attention", yarn}}, "rope_parameters.type = \"yarn\""},
      {{{"rope_type", "longrope"}, {"short_factor", {1}}, {"long_factor", {1}}, {"factor", 2.0}},
       "rope_parameters"},
      {{{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"rope_theta", 1e4}},
       "rope_parameters.type = \"llama3\""},
      {{{"rope_type", "default"}, {"factor", 4.0}}, "rope_parameters has a factor, but its type"},
      {{{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}, "rope_parameters"},
      {{{"rope_type", "dynamic"}, {"factor", 2.0}, {"original_max_position_embeddings", 1024}},
       "rope_parameters.original_max_position_embeddings"},
      {{{"rope_type", "linear"}}, "rope_parameters.factor is missing"},
      {{{"rope_theta", "500"}}, "rope_parameters.rope_theta = \"500\""},
      {{{"rope_theta", -1.0}}, "rope_parameters.rope_theta = -1"},
      {{{"rope_theta", 500.0}}, "rope_theta = 10000, but rope_parameters.rope_theta = 500"},
      {{{"full_attention", {{"rope_theta", 1e4}}}, {"sliding_attention", {{"rope_theta", 2e4}}}},
       "not the same for all layers"},
      {"default", "rope_parameters = \"default\" is not a table"}};
  for (const auto& [parameters, message] : rows) {
    json document = published_16b();
    document["rope_parameters"] = parameters;
    if (message.find("10000") == std::string::npos) document.erase("rope_theta");
    INFO(parameters.dump());
    CHECK_THROWS_WITH(hf_config_from_json(document, "hub/config.json"),
                      Contains(message) && Contains("hub/config.json"));
  }
  json document = published_16b();
  document["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  document["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e4}};
  CHECK_THROWS_WITH(hf_config_from_json(document, "x"),
                    Contains("rope_scaling = ") && Contains("rope_parameters"));
}

TEST_CASE("hf_config: keys that change a model are refused unless their value changes nothing") {
  struct Row {
    std::string key;
    std::vector<json> changing, neutral;
  };
  const std::vector<json> off{nullptr, false};
  const json full = json(std::vector<std::string>(28, "full_attention"));
  json sliding = full;
  sliding[3] = "sliding_attention";
  const std::vector<Row> rows{
      {"partial_rotary_factor", {0.5, 0.25}, {1, 1.0, nullptr}},
      {"sliding_window", {4096, 128}, {nullptr}},
      {"use_sliding_window", {true}, off},
      {"use_qk_norm", {true}, off},
      {"qk_layernorm", {true}, off},
      {"logits_scaling", {8.0, 0.5}, {1.0, 1, nullptr}},
      {"final_logit_softcapping", {30.0}, {nullptr}},
      {"attn_logit_softcapping", {50.0}, {nullptr}},
      {"embedding_multiplier", {12.0}, {1.0, nullptr}},
      {"residual_multiplier", {0.22}, {1.0, nullptr}},
      {"attention_multiplier", {0.1, 1.0}, {1 / std::sqrt(128.0), 0.0883883, nullptr}},
      {"query_pre_attn_scalar", {256}, {128, nullptr}},
      {"layer_types", {sliding, {"full_attention"}, "full_attention"}, {full, nullptr}},
      {"head_dim", {64, 256}, {128, nullptr}},
      {"mlp_bias", {true}, off},
      {"qkv_bias", {true}, off},
      {"attention_dropout", {0.1}, {0.0, 0, nullptr}},
      {"hidden_dropout", {0.1}, {0.0, nullptr}},
      {"clip_qkv", {8.0}, {nullptr}},
      {"kv_lora_rank", {512}, {nullptr}},
      {"topk_method", {"noaux_tc", "other"}, {"greedy", "group_limited_greedy", nullptr}},
      {"num_local_experts", {8}, {64, nullptr}},
      {"num_nextn_predict_layers", {1}, {0, nullptr}},
      {"alibi", {true}, off},
      // No program has these keys, but their names describe a part of a model.
      {"router_temperature_scaling", {0.7, true}, {nullptr, false, json::array(), json::object(), ""}},
      {"attention_sinks_per_head", {4}, off}};
  for (const Row& row : rows) {
    json document = published_16b();
    for (const json& value : row.changing) {
      document[row.key] = value;
      INFO(row.key << " = " << value.dump());
      CHECK_THROWS_WITH(hf_config_from_json(document, "hub/config.json"),
                        Contains(row.key + " = ") && Contains("hub/config.json"));
    }
    for (const json& value : row.neutral) {
      document[row.key] = value;
      INFO(row.key << " = " << value.dump());
      CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
    }
  }
  json document = published_16b();
  document["use_sliding_window"] = false;
  document["sliding_window"] = 4096;
  document["max_window_layers"] = 28;
  CHECK(hf_config_from_json(document, "x") == hf_config_from_json(published_16b(), "x"));
}

TEST_CASE("hf_config: keys that say nothing of the model pass, and those that nobody knows are named") {
  json document = published_16b();
  for (const char* const key : {"use_cache", "_name_or_path", "pad_token_id", "temperature", "dtype",
                                "output_attentions", "gradient_checkpointing", "router_aux_loss_coef"})
    document[key] = 1;
  CHECK(granule::read_hf_document(document, "x").passed_over.empty());
  document["some_future_key"] = {1, 2, 3};
  document["another"] = nullptr;
  CHECK(granule::read_hf_document(document, "x").passed_over == std::vector<std::string>{"some_future_key"});
}

TEST_CASE(
    "hf_config: an override mends what is wrong with the key that it replaces, and the rest is judged with "
    "it") {
  const TempDir directory;
  const auto with = [&](const char* key, const json& value, const std::vector<std::string>& overrides) {
    json document = published_16b();
    document[key] = value;
    std::ofstream(directory / "config.json") << document;
    granule::ConfigOptions options;
    options.base = base_in(directory);
    return override_run_config(overrides, options);
  };
  CHECK(with("num_experts_per_tok", nullptr, {"moe.num_experts_per_tok=4"}).moe.num_experts_per_tok == 4);
  CHECK_THROWS_WITH(with("num_experts_per_tok", nullptr, {}), Contains("moe.num_experts_per_tok is missing"));
  CHECK(with("num_experts_per_tok", 65, {"moe.num_experts_per_tok=6"}).moe.num_experts_per_tok == 6);
  const json yarn{{"type", "yarn"}, {"factor", 2.0}};
  CHECK(with("rope_scaling", yarn, {"model.rope_scaling=none"}).model.rope_scaling.factor == 1.0);
  CHECK(with("rope_parameters", yarn, {"model.rope_scaling={type=\"linear\", factor=2}"})
            .model.rope_scaling.factor == 2.0);
  CHECK_THROWS_WITH(with("rope_scaling", yarn, {"model.rope_theta=5"}), Contains("yarn"));
  CHECK(with("first_k_dense_replace", 28, {"moe.n_routed_experts=0"}).moe.n_routed_experts == 0);
  CHECK(with("num_experts_per_tok", nullptr, {"moe.n_routed_experts=0"}).moe.n_routed_experts == 0);
  CHECK(with("rms_norm_eps", "small", {"model.rms_norm_eps=1e-6"}).model.rms_norm_eps == 1e-6);
  CHECK_THROWS_WITH(with("rms_norm_eps", 1e-6, {"moe.n_routed_experts=0"}),
                    Contains("would change the shape"));
  CHECK_THROWS_WITH(
      with("num_experts_per_tok", nullptr, {"moe.num_experts_per_tok=4", "model.hidden_size=64"}),
      Contains("model.hidden_size = 64 would change the shape"));
  CHECK_THROWS_WITH(with("sliding_window", 64, {"moe.num_experts_per_tok=4"}), Contains("sliding_window"));
}

TEST_CASE("hf_config: a config.json that is written again keeps what says nothing of the model") {
  json document = published_16b();
  document["eos_token_id"] = {100001, 7, 9};
  document["pad_token_id"] = 5;
  document["dtype"] = "float16";
  document["auto_map"] = {{"AutoConfig", "configuration_deepseek.DeepseekConfig"}};
  const HfConfig config = hf_config_from_json(document, "x");
  const json written = to_json(config, "bfloat16", document);
  CHECK(written["eos_token_id"] == json{100001, 7, 9});
  CHECK(written["pad_token_id"] == 5);
  CHECK(written["torch_dtype"] == "bfloat16");
  CHECK(!written.contains("dtype"));
  CHECK(written["auto_map"] == to_json(config, "bfloat16")["auto_map"]);
  CHECK(hf_config_from_json(written, "x") == config);
  document["eos_token_id"] = json::array();
  CHECK(to_json(config, "bfloat16", document)["eos_token_id"] == 100001);
}

TEST_CASE("hf_config: a written config.json says what loaders look for") {
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

TEST_CASE("hf_config: a directory without a readable config.json is refused") {
  const TempDir directory;
  CHECK_THROWS_WITH(granule::HfDirectory::open(directory.path()), Contains("config.json"));
  std::ofstream(directory / "config.json") << "{\"model_type\": ";
  CHECK_THROWS_WITH(granule::HfDirectory::open(directory.path()), Contains("not valid JSON"));
  std::ofstream(directory / "config.json") << "[]";
  CHECK_THROWS_WITH(granule::HfDirectory::open(directory.path()), Contains("not a JSON object"));
  std::ofstream(directory / "config.json") << R"({"model_type": "deepseek", "model_type": "deepseek"})";
  CHECK_THROWS_WITH(granule::HfDirectory::open(directory.path()), Contains("given twice"));
}

TEST_CASE("hf_config: a run starts from a Hugging Face model with its shape and the file's other values") {
  const TempDir directory;
  std::ofstream(directory / "config.json") << published_16b();
  std::ofstream(directory / "run.toml") << "[moe]\naux_loss_alpha = 0.01\n[train]\nsteps = 3\n";
  granule::ConfigOptions options;
  options.base = base_in(directory);
  const auto config = load_run_config(directory / "run.toml", {}, options);
  CHECK(config.model.hidden_size == 2048);
  CHECK(config.model.initializer_range == 0.02);
  CHECK(config.moe.aux_loss_alpha == 0.01);
  CHECK(config.data.seq_len == 4096);
}
