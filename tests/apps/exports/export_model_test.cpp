#ifdef GRANULE_WITH_SENTENCEPIECE  // a GGUF file holds a tokenizer
// Exports of models with random weights: which are written, what is in them, and which are refused.
#include "apps/exports/export_model.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include "apps/models/hf_config.hpp"
#include "apps/models/model_files.hpp"
#include "core/error.hpp"
#include "data/gguf/gguf_reader.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/made_model.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

ExportResult exported(const fs::path& model, const fs::path& out, ExportFormat format,
                      StoredType type = StoredType::f32, ReadBackCheck check = ReadBackCheck::yes) {
  return export_model({model, out, format, type, check});
}

using Change = void (*)(MadeModel&);
struct Kind {
  const char* name;
  Change change;
};

std::string refusal_of(const fs::path& model, const fs::path& out, ExportFormat format) {
  try {
    (void)exported(model, out, format, StoredType::f32, ReadBackCheck::no);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    CHECK(!fs::exists(out));
    return error.what();
  }
  return "accepted";
}

std::vector<float> floats_in(const GgufFile& file, const char* name) {
  const GgufView* const view = file.find(name);
  REQUIRE(view != nullptr);
  std::vector<float> values(static_cast<std::size_t>(view->elements()));
  read_floats(*view, 0, values);
  return values;
}

std::vector<float> floats_of(const ModelFiles& files, const std::string& name) {
  const auto view = files.tensors().find(name);
  REQUIRE(view.has_value());
  std::int64_t size = 1;
  for (const std::int64_t extent : view->shape) size *= extent;
  std::vector<float> values(static_cast<std::size_t>(size));
  files.tensors().read_into(name, view->shape, std::span(values));
  return values;
}

void use_norm(MadeModel& made) {
  made.moe.norm_topk_prob = true;
}
void use_frequency(MadeModel& made) {
  made.moe.moe_layer_freq = 2;
  made.moe.first_k_dense_replace = 0;
}
void use_no_experts(MadeModel& made) {
  made.moe = {};
}
void use_linear(MadeModel& made) {
  made.model.rope_scaling = {RopeScaling::Type::linear, 3.0};
}

}  // namespace

TEST_CASE("export_model: a GGUF file of every model that llama.cpp computes reads back equal in float32") {
  const Kind kinds[] = {
      {"a dense layer, experts, shared experts", [](MadeModel&) {}},
      {"the head is the embedding", [](MadeModel& m) { m.model.tie_word_embeddings = true; }},
      {"no shared expert", [](MadeModel& m) { m.moe.n_shared_experts = 0; }},
      {"no dense layer, no width for one",
       [](MadeModel& m) { m.moe.first_k_dense_replace = 0, m.model.intermediate_size = 0; }},
      {"linear positions", use_linear},
      {"odd numbers that float32 rounds",
       [](MadeModel& m) { m.model.rms_norm_eps = 1.1e-6, m.model.rope_theta = 12345.6789; }},
      {"one expert, whose weight would not be normalised",
       [](MadeModel& m) { m.moe.num_experts_per_tok = 1, m.moe.norm_topk_prob = true; }},
      {"groups that all may be used", [](MadeModel& m) { m.moe.n_group = m.moe.topk_group = 2; }},
      {"a frequency that only the last layer meets",
       [](MadeModel& m) { m.moe.moe_layer_freq = 2, m.moe.first_k_dense_replace = 1; }},
      {"dense, with biases", [](MadeModel& m) { m.moe = {}, m.model.attention_bias = true; }},
      {"rows that are no multiple of 32", [](MadeModel& m) { m.moe.moe_intermediate_size = 12; }}};
  for (const Kind& kind : kinds) {
    INFO(kind.name);
    const TempDir temp;
    MadeModel made = made_model();
    kind.change(made);
    write_model(temp / "model", made);
    const ExportResult result = exported(temp / "model", temp / "m.gguf", ExportFormat::gguf);
    CHECK(result.difference == 0.0);
    CHECK(names_in(temp.path()) == std::vector<std::string>{"m.gguf", "model"});
  }
}

TEST_CASE("export_model: a qwen2_moe directory of every model that it computes reads back equal in float32") {
  const Kind kinds[] = {
      {"shared experts", [](MadeModel&) {}},
      {"the head is the embedding", [](MadeModel& m) { m.model.tie_word_embeddings = true; }},
      {"no shared expert", [](MadeModel& m) { m.moe.n_shared_experts = 0; }},
      {"normalised weights", use_norm},
      {"one expert, whose weight would not be normalised",
       [](MadeModel& m) { m.moe.num_experts_per_tok = 1, m.moe.norm_topk_prob = true; }},
      {"every second layer", use_frequency},
      {"dynamic positions",
       [](MadeModel& m) {
         m.model.rope_scaling = {RopeScaling::Type::dynamic, 2.0};
       }},
      {"biases of q, k and v", [](MadeModel& m) { m.model.attention_bias = true, m.output_bias = false; }}};
  for (const Kind& kind : kinds) {
    INFO(kind.name);
    const TempDir temp;
    MadeModel made = made_model();
    kind.change(made);
    write_model(temp / "model", made);
    CHECK(exported(temp / "model", temp / "qwen", ExportFormat::qwen2moe).difference == 0.0);
    // And back: the bits of the model, under its own names.
    for (const auto& [from, to] : {std::pair{"model", "before"}, std::pair{"qwen", "after"}})
      (void)exported(temp / from, temp / to, ExportFormat::hf, StoredType::f32, ReadBackCheck::no);
    CHECK(text_of(temp / "after/model.safetensors") == text_of(temp / "before/model.safetensors"));
    const HfConfig before = hf_config_from_json(json::parse(text_of(temp / "before/config.json")), "before");
    HfConfig after = hf_config_from_json(json::parse(text_of(temp / "after/config.json")), "after");
    after.moe.norm_topk_prob = before.moe.norm_topk_prob;  // without effect for one expert
    CHECK(after == before);
  }
}

TEST_CASE("export_model: rounded types stay within their rounding, and q8_0 leaves odd rows in f16") {
  const TempDir temp;
  MadeModel made = made_model();
  made.moe.moe_intermediate_size = 12;
  write_model(temp / "model", made);
  struct Row {
    StoredType type;
    double most;
  };
  for (const auto& [type, most] : {Row{StoredType::bf16, 0.05}, Row{StoredType::f16, 0.01}}) {
    const std::string name(name_of(type));
    for (const ExportFormat format : {ExportFormat::hf, ExportFormat::qwen2moe, ExportFormat::gguf}) {
      const auto out = temp / (name + std::string(name_of(format)));
      const ExportResult result = exported(temp / "model", out, format, type);
      CHECK(result.difference > 0.0);
      CHECK(result.difference < most);
    }
  }
  const ExportResult result =
      exported(temp / "model", temp / "q8.gguf", ExportFormat::gguf, StoredType::q8_0);
  // Of two MoE layers, the down projections of the routed experts and of the shared ones: rows of 12 and 24.
  CHECK(result.notes ==
        std::vector<std::string>{"4 matrices are f16, because their rows are no multiple of 32"});
  const GgufFile file = GgufFile::open(temp / "q8.gguf");
  CHECK(file.find("blk.1.ffn_down_exps.weight")->type == GgufType::f16);
  CHECK(file.find("blk.1.ffn_up_exps.weight")->type == GgufType::q8_0);
  CHECK(file.find("token_embd.weight")->type == GgufType::q8_0);
  CHECK(file.find("blk.1.ffn_gate_inp.weight")->type == GgufType::f32);
  CHECK(file.find("blk.1.attn_norm.weight")->type == GgufType::f32);
  CHECK(file.value("general.file_type") == 7);
  CHECK_THROWS_WITH(exported(temp / "model", temp / "no", ExportFormat::hf, StoredType::q8_0),
                    Contains("q8_0 is a type of GGUF files"));
}

TEST_CASE("export_model: a GGUF file has llama.cpp's names, order of rows, keys and padded vocabulary") {
  const TempDir temp;
  MadeModel made = made_model();
  made.moe.n_shared_experts = 0;
  made.model.tie_word_embeddings = true;
  use_linear(made);
  write_model(temp / "model", made);
  (void)exported(temp / "model", temp / "m.gguf", ExportFormat::gguf);
  const ModelFiles files = ModelFiles::open(temp / "model");
  const GgufFile file = GgufFile::open(temp / "m.gguf");
  const auto q = floats_of(files, "model.layers.1.self_attn.q_proj.weight");
  const auto stored = floats_in(file, "blk.1.attn_q.weight");
  const auto row = [](const std::vector<float>& values, std::size_t i) {
    return std::vector<float>(values.begin() + std::ptrdiff_t(64 * i),
                              values.begin() + std::ptrdiff_t(64 * (i + 1)));
  };
  // A head has 16 rows. Row 1 turns with row 0, and here that is row 8.
  CHECK(row(stored, 0) == row(q, 0));
  CHECK(row(stored, 1) == row(q, 8));
  CHECK(row(stored, 2) == row(q, 1));
  CHECK(row(stored, 16) == row(q, 16));
  CHECK(row(stored, 31) == row(q, 31));
  CHECK(row(stored, 30) == row(q, 23));
  CHECK(floats_in(file, "blk.1.attn_v.weight") == floats_of(files, "model.layers.1.self_attn.v_proj.weight"));
  CHECK(floats_in(file, "output.weight") == floats_in(file, "token_embd.weight"));
  CHECK(floats_in(file, "blk.2.ffn_down_shexp.weight") == std::vector<float>(64 * 32, 0.0F));
  CHECK(file.find("blk.1.ffn_down_exps.weight")->shape == std::vector<std::int64_t>{6, 64, 32});
  const std::pair<const char*, json> keys[] = {
      {"general.architecture", "deepseek"},      {"deepseek.context_length", 384},
      {"deepseek.leading_dense_block_count", 1}, {"deepseek.expert_count", 6},
      {"deepseek.expert_used_count", 2},         {"deepseek.expert_shared_count", 1},
      {"deepseek.expert_weights_scale", 1.0},    {"deepseek.rope.scaling.type", "linear"},
      {"deepseek.rope.scaling.factor", 3.0},     {"deepseek.attention.head_count_kv", 2},
      {"deepseek.rope.dimension_count", 16},     {"tokenizer.ggml.model", "llama"},
      {"tokenizer.ggml.pre", "default"},         {"tokenizer.ggml.add_bos_token", false},
      {"tokenizer.ggml.eos_token_id", 2},        {"tokenizer.ggml.unknown_token_id", 0}};
  for (const auto& [key, value] : keys) {
    INFO(key);
    CHECK(file.value(key) == value);
  }
  CHECK(file.value("tokenizer.ggml.tokens").size() == 360);
  CHECK(file.value("tokenizer.ggml.tokens")[355] == "[PAD355]");
  CHECK(file.value("tokenizer.ggml.token_type")[355] == 5);
  CHECK(file.value("tokenizer.ggml.token_type")[2] == 3);
  CHECK(file.value("tokenizer.ggml.token_type")[0] == 2);
  CHECK(file.value("tokenizer.ggml.scores").size() == 360);
}

TEST_CASE("export_model: a byte-level BPE is in the GGUF file with its merges and its rules, or is refused") {
  const TempDir temp;
  MadeModel made = made_model();
  made.model.vocab_size = 700;
  write_model(temp / "model", made);
  fs::remove(temp / "model/tokenizer.model");
  const fs::path tokenizer = temp / "model/tokenizer.json";
  fs::copy_file(fixtures_dir() + "/tokenizers/base.json", tokenizer);
  write_text(temp / "model/chat_template.jinja", "{{ messages }}");
  fs::create_directory(temp / "model/additional_chat_templates");
  write_text(temp / "model/additional_chat_templates/tools.jinja", "{{ tools }}");
  (void)exported(temp / "model", temp / "m.gguf", ExportFormat::gguf);
  const GgufFile file = GgufFile::open(temp / "m.gguf");
  CHECK(file.value("tokenizer.chat_template") == "{{ messages }}");
  CHECK(file.value("tokenizer.chat_template.tools") == "{{ tools }}");
  CHECK(file.value("tokenizer.chat_templates") == json{"tools"});
  CHECK(file.value("tokenizer.ggml.model") == "gpt2");
  CHECK(file.value("tokenizer.ggml.pre") == "deepseek-v3");
  CHECK(file.value("tokenizer.ggml.scores").is_null());
  CHECK(file.value("tokenizer.ggml.eos_token_id") == 1);
  json document = json::parse(text_of(tokenizer));
  CHECK(file.value("tokenizer.ggml.merges").size() == document["model"]["merges"].size());
  CHECK(file.value("tokenizer.ggml.tokens").size() == 700);
  CHECK(file.value("tokenizer.ggml.tokens")[699] == "[PAD699]");
  document["pre_tokenizer"]["pretokenizers"][2]["pattern"]["Regex"] = "[a-z]+|[^a-z]+";
  write_text(tokenizer, document.dump());
  CHECK_THAT(
      refusal_of(temp / "model", temp / "n.gguf", ExportFormat::gguf),
      Contains("cuts text into words by rules that llama.cpp does not have") && Contains("--format hf"));
}

TEST_CASE("export_model: what another program would compute in another way is refused with an alternative") {
  struct Row {
    Change change;
    const char* key;
    const char* gguf;  ///< the alternative that is named; empty if the format has it
    const char* qwen;
  };
  const Row rows[] = {
      {use_norm, "moe.norm_topk_prob = true", "--format hf-qwen2moe", ""},
      {use_frequency, "moe.moe_layer_freq = 2", "--format hf-qwen2moe", ""},
      {[](MadeModel& m) { m.model.attention_bias = true; }, "bias", "--format hf", "--format hf"},
      {[](MadeModel& m) {
         m.model.rope_scaling = {RopeScaling::Type::dynamic, 2.0};
       },
       "model.rope_scaling of type \"dynamic\"", "--format hf", ""},
      {[](MadeModel& m) { m.moe.scoring_func = ScoringFunction::sigmoid; }, "moe.scoring_func = \"sigmoid\"",
       "--format hf", "--format hf"},
      {[](MadeModel& m) { m.moe.bias_update_speed = 0.001; }, "moe.bias_update_speed = 0.001", "--format hf",
       "--format hf"},
      {[](MadeModel& m) { m.moe.n_group = 3, m.moe.topk_group = 2; }, "moe.n_group = 3", "--format hf",
       "--format hf"},
      {[](MadeModel& m) { m.moe.routed_scaling_factor = 2.5; }, "moe.routed_scaling_factor = 2.5",
       "--format hf", "--format hf"},
      {use_no_experts, "a model without experts", "", "--format hf or gguf"},
  };
  for (const Row& row : rows) {
    INFO(row.key);
    const TempDir temp;
    MadeModel made = made_model();
    row.change(made);
    write_model(temp / "model", made);
    for (const auto& [format, advice] :
         {std::pair{ExportFormat::gguf, row.gguf}, std::pair{ExportFormat::qwen2moe, row.qwen}}) {
      const std::string refusal = refusal_of(temp / "model", temp / "out", format);
      const bool accepted = std::string(advice).empty();
      CHECK((refusal == "accepted") == accepted);
      if (!accepted) CHECK_THAT(refusal, Contains(row.key) && Contains(advice));
      fs::remove_all(temp / "out");
    }
    CHECK(exported(temp / "model", temp / "hf", ExportFormat::hf).difference == 0.0);
  }
}

TEST_CASE("export_model: a GGUF file goes to a new path, and a model without a tokenizer has none") {
  const TempDir temp;
  write_model(temp / "model", made_model());
  write_text(temp / "there.gguf", "kept");
  fs::create_directory(temp / "folder");
  const auto refusal = [&](const fs::path& out) {
    try {
      (void)exported(temp / "model", out, ExportFormat::gguf);
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::user);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK_THAT(refusal(temp / "there.gguf"), Contains("the file is already there"));
  CHECK_THAT(refusal(temp / "folder"), Contains("name the file, such as") && Contains("model.gguf"));
  CHECK_THAT(refusal(temp / "nowhere/m.gguf"), Contains("is not there"));
  CHECK(text_of(temp / "there.gguf") == "kept");
  write_text(temp / ".m.gguf.writing", "left by a writer that was killed");
  CHECK(refusal(temp / "m.gguf") == "accepted");
  CHECK(!fs::exists(temp / ".m.gguf.writing"));
  fs::remove(temp / "model/tokenizer.model");
  CHECK_THAT(refusal(temp / "n.gguf"), Contains("holds a tokenizer, and the model has none"));
  CHECK(!fs::exists(temp / "n.gguf"));
}
#endif
