#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// granule export from outside: the files, against a reader of its own and as a MODEL of this program.
#include <nlohmann/json.hpp>

#include "apps/models/hf_config.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
using Catch::Contains;
using Catch::StartsWith;
namespace fs = std::filesystem;

namespace {

ProgramResult run_export(const fs::path& model, const fs::path& out,
                         const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"export", model, "--format", "hf", "--out", out};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

void must_export(const fs::path& model, const fs::path& out, const std::vector<std::string>& more = {}) {
  const ProgramResult result = run_export(model, out, more);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

nlohmann::json json_of(const fs::path& file) {
  return nlohmann::json::parse(text_of(file));
}

std::vector<std::string> files_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void refuse(const fs::path& model, const std::string& message) {
  const TempDir temp;
  for (const char* const command : {"export", "inspect", "eval", "generate"}) {
    std::vector<std::string> arguments{command, model};
    if (arguments[0] == "export")
      arguments.insert(arguments.end(), {"--format", "hf", "--out", temp / "out"});
    if (arguments[0] == "eval") arguments.insert(arguments.end(), {"--data", small_run().data});
    if (arguments[0] == "generate") arguments.insert(arguments.end(), {"--prompt", "the"});
    const auto result = run_program(arguments);
    INFO(command);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains(message));
  }
  CHECK(files_in(temp.path()).empty());
}

const char* const kCheckpointFile = "checkpoints/step-00000020/model-00001-of-00001.safetensors";

}  // namespace

TEST_CASE(
    "export_command: every exported value is the checkpoint's, or what it rounds to, by another program's "
    "reading") {
  const TempDir temp;
  for (const char* const dtype : {"f32", "bf16"}) {
    INFO(dtype);
    must_export(small_run().run, temp / dtype, {"--dtype", dtype});
    const auto check = run_program({source_dir() + "/tests/apps/commands/check_export.py",
                                    small_run().run / kCheckpointFile, temp / dtype, dtype},
                                   {.program = "/usr/bin/python3"});
    CHECK(check.err.empty());
    // Embedding, head, norm; attention 4 + 3 biases + 1 and 2 norms a layer; 3 dense; 2 × (router + 8 · 3 +
    // 3).
    CHECK(check.out == std::to_string(3 + 3 * 10 + 3 + 2 * 28) + "\n");
  }
}

TEST_CASE("export_command: the directory holds what transformers asks for, and nothing else") {
  const TempDir temp;
  const auto result = run_export(small_run().run, temp / "hf");
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("read back and equal"));
  CHECK(nlohmann::json::parse(result.out) == nlohmann::json{{"out", (temp / "hf").string()},
                                                            {"format", "hf"},
                                                            {"dtype", "f32"},
                                                            {"tensors", 92},
                                                            {"verified", true}});
  CHECK(files_in(temp.path()) == std::vector<std::string>{"hf"});
  CHECK(files_in(temp / "hf") == std::vector<std::string>{"config.json", "generation_config.json",
                                                          "model.safetensors", "tokenizer.json",
                                                          "tokenizer.model", "tokenizer_config.json"});
  const auto config = json_of(temp / "hf/config.json");
  CHECK(config["architectures"] == nlohmann::json{"DeepseekForCausalLM"});
  CHECK(config["model_type"] == "deepseek");
  CHECK(config["torch_dtype"] == "float32");
  CHECK(config["vocab_size"] == 350);
  CHECK(config["n_routed_experts"] == 8);
  CHECK(config["attention_bias"] == true);
  CHECK(config["eos_token_id"] == 2);
  CHECK(json_of(temp / "hf/generation_config.json")["eos_token_id"] == 2);
  const auto tokenizer = json_of(temp / "hf/tokenizer_config.json");
  CHECK(tokenizer["tokenizer_class"] == "LlamaTokenizer");
  CHECK(tokenizer["add_bos_token"] == false);
  CHECK(tokenizer["add_eos_token"] == false);
  CHECK(tokenizer["bos_token"] == "<s>");
  CHECK(tokenizer["eos_token"] == "</s>");
  CHECK(tokenizer["unk_token"] == "<unk>");
  CHECK(tokenizer["model_max_length"] == 64);
  CHECK(text_of(temp / "hf/tokenizer.model") == text_of(small_run().tokenizer));
}

TEST_CASE(
    "export_command: a SentencePiece model is also a tokenizer.json with the same ids, and stands for the "
    "same tokenizer") {
  const TempDir temp;
  must_export(small_run().run, temp / "hf");
  const auto model = granule::open_tokenizer(temp / "hf/tokenizer.model");
  const auto json = granule::open_tokenizer(temp / "hf/tokenizer.json");
  for (const std::string text : {"the old whale went down.\n", "  \u9be8 caf\u00e9\t ", "", "x"}) {
    CHECK(json->encode(text) == model->encode(text));
    CHECK(json->decode(model->encode(text)) == text);
  }
  CHECK(json->sha256() == model->sha256());
  CHECK(json_of(temp / "hf/tokenizer.json")["post_processor"].is_null());
  // A program that has only this file measures the model on the same data.
  fs::remove(temp / "hf/tokenizer.model");
  CHECK(run_program({"eval", temp / "hf", "--data", small_run().data}).exit_code == 0);

  fs::copy(temp / "hf", temp / "odd");
  fs::remove(temp / "odd/tokenizer.json");
  fs::remove(temp / "odd/tokenizer_config.json");
  // It removes repeated spaces, which a tokenizer.json of this form cannot say.
  write_text(temp / "odd/tokenizer.model", text_of(small_run().tokenizer) + "\x1a\x02\x20\x01");
  const auto result = run_export(temp / "odd", temp / "again");
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("no tokenizer.json is written: its SentencePiece model removes repeated"));
  CHECK_FALSE(fs::exists(temp / "again/tokenizer.json"));
}

TEST_CASE(
    "export_command: an export is a model that can be exported again, files of its tokenizer included") {
  const TempDir temp;
  must_export(small_run().run, temp / "a");
  write_text(temp / "a/tokenizer_config.json", "{\"somebody\": \"else's\"}");
  write_text(temp / "a/special_tokens_map.json", "{}");
  must_export(temp / "a", temp / "b", {"--no-verify"});
  CHECK(text_of(temp / "b/model.safetensors") == text_of(temp / "a/model.safetensors"));
  CHECK(text_of(temp / "b/config.json") == text_of(temp / "a/config.json"));
  CHECK(text_of(temp / "b/tokenizer_config.json") == "{\"somebody\": \"else's\"}");
  CHECK(text_of(temp / "b/special_tokens_map.json") == "{}");

  // bf16 of a run and of its f32 export are the same, and survive being widened and rounded once more.
  must_export(small_run().run, temp / "run16", {"--dtype", "bf16"});
  must_export(temp / "a", temp / "a16", {"--dtype", "bf16"});
  CHECK(text_of(temp / "a16/model.safetensors") == text_of(temp / "run16/model.safetensors"));
  must_export(temp / "run16", temp / "wide", {"--dtype", "f32"});
  must_export(temp / "wide", temp / "again", {"--dtype", "bf16"});
  CHECK(text_of(temp / "again/model.safetensors") == text_of(temp / "run16/model.safetensors"));
}

TEST_CASE("export_command: a model whose head is its embedding is exported without a head") {
  const TempDir temp;
  const fs::path run = temp / "run";
  REQUIRE(run_program({"train", small_run().config, "--out", run, "train.steps=2",
                       "model.tie_word_embeddings=true", "moe.n_shared_experts=0", "train.dtype=f64"})
              .exit_code == 0);
  must_export(run, temp / "hf");
  CHECK_THAT(text_of(temp / "hf/model.safetensors"), !Contains("lm_head"));
  CHECK(json_of(temp / "hf/config.json")["n_shared_experts"].is_null());
  const auto check =
      run_program({source_dir() + "/tests/apps/commands/check_export.py",
                   run / "checkpoints/step-00000002/model-00001-of-00001.safetensors", temp / "hf", "f32"},
                  {.program = "/usr/bin/python3"});
  CHECK(check.err.empty());
  CHECK(run_program({"eval", temp / "hf", "--data", small_run().data}).exit_code == 0);
}

TEST_CASE(
    "export_command: formats, types and places that cannot be exported to are refused, and nothing is "
    "written") {
  const TempDir temp;
  fs::create_directory(temp / "full");
  write_text(temp / "full/file", "kept");
  struct Row {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Row> rows{
      {{"--format", "gguf", "--out", temp / "out"}, "cannot express model.attention_bias = true"},
      {{"--format", "hf-qwen2moe", "--out", temp / "out"}, "self_attn.o_proj.bias', which is not zero"},
      {{"--format", "onnx", "--out", temp / "out"}, "there is no format 'onnx'"},
      {{"--out", temp / "out"}, "--format is missing"},
      {{"--format", "hf"}, "--out is missing"},
      {{"--format", "hf", "--out", temp / "out", "--dtype", "q4_0"}, "there is no type 'q4_0'"},
      {{"--format", "hf", "--out", temp / "out", "--dtype", "q8_0"}, "q8_0 is a type of GGUF files"},
      {{"--format", "hf", "--out", temp / "full"}, "the directory for the model is not empty"},
      {{"--format", "hf", "--out", temp / "full/file"}, "the directory for the model is not empty"},
      {{"--format", "hf", "--out", temp / "a/b"}, "is not there"},
  };
  for (const Row& row : rows) {
    std::vector<std::string> arguments{"export", small_run().run};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    const auto result = run_program(arguments);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains(row.message));
  }
  CHECK(files_in(temp.path()) == std::vector<std::string>{"full"});
  CHECK(text_of(temp / "full/file") == "kept");
}

TEST_CASE("export_command: what is no model is refused by every command that reads one") {
  const TempDir temp;
  refuse(temp / "missing", "there is no model here");
  refuse(small_run().config, "there is no model here");
  refuse(small_run().data, "neither checkpoints nor a config.json");
  fs::create_directories(temp / "young");
  write_text(temp / "young/config.toml", "");
  refuse(temp / "young", "the run has no checkpoint");
  fs::create_directories(temp / "empty/checkpoints");
  refuse(temp / "empty", "the run has no checkpoint");
}

TEST_CASE(
    "export_command: Hugging Face directories that are not what their config says are refused by every "
    "command") {
  const TempDir temp;
  must_export(small_run().run, temp / "hf");
  const auto altered = [&](const std::string& file, const std::string& from, const std::string& to,
                           const std::string& message) {
    const TempDir place;
    const fs::path copy = copy_of(temp / "hf", place);
    replace_in(copy / file, from, to);
    INFO(to);
    refuse(copy, message);
  };
  const char* const kConfig = "config.json";
  const char* const kWeights = "model.safetensors";
  altered(kConfig, "\"deepseek\"", "\"llama\"", "model_type = \"llama\" is not supported");
  altered(kConfig, "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4",
          "tensor 'model.layers.3.input_layernorm.weight' of shape [32] is missing");
  altered(kConfig, "\"n_routed_experts\": 8", "\"n_routed_experts\": 9",
          "has shape [8, 32], expected [9, 32]");
  altered(kConfig, "\"n_routed_experts\": 8", "\"n_routed_experts\": 7", "belongs to no parameter");
  altered(kConfig, "\"intermediate_size\": 48", "\"intermediate_size\": 50",
          "has shape [48, 32], expected [50, 32]");
  altered(kConfig, "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", "model.layers.2");
  altered(kConfig, "\"scoring_func\": \"softmax\"", "\"scoring_func\": \"tanh\"", "scoring_func");
  altered(kConfig, "{", "[", "config.json");
  altered(kWeights, "model.norm.weight", "model.morn.weight", "model.morn.weight");
  altered(kWeights, "\"F32\"", "\"I32\"", "expected floating-point numbers");

  const TempDir place;
  const fs::path copy = copy_of(temp / "hf", place);
  fs::resize_file(copy / kWeights, fs::file_size(copy / kWeights) - 1);
  refuse(copy, "model.safetensors");
  fs::remove(copy / kWeights);
  refuse(copy, "no model.safetensors and no model.safetensors.index.json");
}

TEST_CASE("export_command: a device that fills up leaves no export behind") {
  // /dev/full cannot be a directory, so a limit on the size of files stands in for it.
  const TempDir temp;
  const auto result =
      run_program({"-c", "ulimit -f 16; trap '' XFSZ; \"$0\" export \"$1\" --format hf --out \"$2\"",
                   program_path(), small_run().run, temp / "hf"},
                  {.program = "/bin/sh"});
  CHECK(result.exit_code == 74);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains("File too large"));
  CHECK(files_in(temp.path()).empty());
}
#endif
