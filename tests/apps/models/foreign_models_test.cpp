#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// Hugging Face directories as other programs write them, and checkpoints in unusual places, given to
// commands.
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/made_model.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

ProgramResult must(const std::vector<std::string>& arguments) {
  ProgramResult result = run_program(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

json json_of(const fs::path& file) {
  return json::parse(text_of(file));
}

fs::path exported(const TempDir& temp, const fs::path& model, const char* name) {
  must({"export", model, "--format", "hf", "--out", temp / name});
  return temp / name;
}

ProgramResult eval(const fs::path& model, const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> arguments{"eval", model, "--data", small_run().data};
  arguments.insert(arguments.end(), overrides.begin(), overrides.end());
  return run_program(arguments);
}

double ce_of(const ProgramResult& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return json::parse(result.out)["ce"].get<double>();
}

}  // namespace

TEST_CASE(
    "foreign_models: rotary positions of transformers 5 give the loss of the older keys, and go on into an "
    "export") {
  const TempDir temp;
  const fs::path model = exported(temp, small_run().run, "hf");
  json config = json_of(model / "config.json");
  config["rope_theta"] = 500.0;
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  write_text(model / "config.json", config.dump());
  const double expected = ce_of(eval(model));
  config.erase("rope_theta");
  config.erase("rope_scaling");
  write_text(model / "config.json", config.dump());
  CHECK(ce_of(eval(model)) != expected);
  config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 500.0}};
  write_text(model / "config.json", config.dump());
  CHECK(ce_of(eval(model)) == expected);
  const fs::path again = exported(temp, model, "again");
  CHECK(json_of(again / "config.json")["rope_theta"] == 500.0);
  CHECK(json_of(again / "config.json")["rope_scaling"]["factor"] == 2.0);
  config["rope_parameters"]["rope_type"] = "yarn";
  write_text(model / "config.json", config.dump());
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"eval", model, "--data", small_run().data},
        {"export", model, "--format", "hf", "--out", temp / "no"},
        {"generate", model, "--prompt", "the"},
        {"train", small_run().config, "--init-from", model, "--out", temp / "no"}}) {
    const ProgramResult result = run_program(command);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains("rope_parameters.type = \"yarn\""));
  }
  CHECK(!fs::exists(temp / "no"));
}

TEST_CASE(
    "foreign_models: model.safetensors is read although there is an index of shards too, and this is said") {
  const TempDir temp;
  const fs::path model = exported(temp, small_run().run, "hf");
  const ProgramResult alone = eval(model);
  CHECK_THAT(alone.err, !Contains("warning"));
  write_text(model / "model.safetensors.index.json",
             R"({"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}})");
  const std::string warning = "granule: warning: " + model.string() +
                              " has model.safetensors and an index of shards: model.safetensors is read, as "
                              "transformers does, and the "
                              "shards are not\n";
  const ProgramResult both = eval(model);
  CHECK(ce_of(both) == ce_of(alone));
  CHECK_THAT(both.err, Contains(warning));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"inspect", model},
        {"train", small_run().config, "--init-from", model, "--dry-run"},
        {"export", model, "--format", "hf", "--out", temp / "again"}})
    CHECK_THAT(must(command).err, Contains(warning));
  CHECK(!fs::exists(temp / "again" / "model.safetensors.index.json"));
}

TEST_CASE("foreign_models: a qwen2_moe directory is a model for every command, and computes the same") {
  const TempDir temp;
  MadeModel made = made_model();
  made.model.vocab_size = 350;
  write_model(temp / "model", made);
  must({"export", temp / "model", "--format", "hf-qwen2moe", "--out", temp / "qwen"});
  CHECK(json_of(temp / "qwen/config.json")["model_type"] == "qwen2_moe");
  CHECK(ce_of(eval(temp / "qwen")) == ce_of(eval(temp / "model")));
  const auto scores = [&](const char* model) {
    return must({"score", temp / model, "--text", "the sea", "--logprobs"}).out;
  };
  CHECK(scores("qwen") == scores("model"));
  const json inspected = json::parse(must({"inspect", temp / "qwen"}).out);
  CHECK(inspected["config"]["moe"]["n_shared_experts"] == 2);
  must({"generate", temp / "qwen", "--prompt", "the", "--max-tokens", "2"});
  must({"train", small_run().config, "--init-from", temp / "qwen", "--dry-run", "model.attention_bias=false",
        "model.hidden_size=64", "model.intermediate_size=96", "model.max_position_embeddings=128",
        "moe.n_routed_experts=6", "moe.num_experts_per_tok=2", "moe.n_shared_experts=2",
        "moe.moe_intermediate_size=32"});
}

TEST_CASE("foreign_models: an evaluation judges a config.json with the overrides that mend it") {
  const TempDir temp;
  const fs::path model = exported(temp, small_run().run, "hf");
  const double expected = ce_of(eval(model));
  json config = json_of(model / "config.json");
  config["num_experts_per_tok"] = nullptr;
  config["rope_scaling"] = {{"type", "yarn"}, {"factor", 2.0}};
  write_text(model / "config.json", config.dump());
  CHECK(eval(model).exit_code == 2);
  CHECK_THAT(eval(model, {"moe.num_experts_per_tok=3"}).err, Contains("rope_scaling"));
  CHECK(ce_of(eval(model, {"moe.num_experts_per_tok=3", "model.rope_scaling=none"})) == expected);
  must({"train", small_run().config, "--init-from", model, "--dry-run", "moe.num_experts_per_tok=3",
        "model.rope_scaling=none"});
}

TEST_CASE("foreign_models: a Hugging Face directory is exported again with all that is not ours to change") {
  const TempDir temp;
  const fs::path model = exported(temp, small_run().run, "hf");
  json config = json_of(model / "config.json");
  config["eos_token_id"] = {2, 7, 9};
  config["pad_token_id"] = 3;
  config["my_note"] = "kept";
  config["use_cache"] = false;
  write_text(model / "config.json", config.dump());
  const std::string generation = "{\"eos_token_id\": [2, 7, 9], \"temperature\": 0.6}";
  write_text(model / "generation_config.json", generation);
  write_text(model / "chat_template.jinja", "{{ messages }}");
  fs::create_directory(model / "additional_chat_templates");
  write_text(model / "additional_chat_templates/tools.jinja", "{{ tools }}");
  for (const char* const file : {"LICENSE", "README.md", "added_tokens.json", "merges.txt"})
    write_text(model / file, "as it was");
  write_text(model / "modeling_deepseek.py", "import torch");
  const ProgramResult result = must({"export", model, "--format", "hf", "--out", temp / "again"});
  CHECK_THAT(result.err, Contains("Granule does not know and ignores: my_note"));
  CHECK_THAT(result.err, Contains("not copied from " + model.string() + ": modeling_deepseek.py"));
  const json written = json_of(temp / "again/config.json");
  CHECK(written["eos_token_id"] == json{2, 7, 9});
  CHECK(written["pad_token_id"] == 3);
  CHECK(written["my_note"] == "kept");
  CHECK(written["use_cache"] == false);
  CHECK(text_of(temp / "again/generation_config.json") == generation);
  CHECK(text_of(temp / "again/chat_template.jinja") == "{{ messages }}");
  CHECK(text_of(temp / "again/additional_chat_templates/tools.jinja") == "{{ tools }}");
  for (const char* const file : {"LICENSE", "README.md", "added_tokens.json", "merges.txt"})
    CHECK(text_of(temp / "again" / file) == "as it was");
  CHECK(!fs::exists(temp / "again/modeling_deepseek.py"));

  // Through training too, but for what speaks of the weights as they were.
  must({"train", small_run().config, "--init-from", model, "--out", temp / "run", "train.steps=1"});
  const fs::path trained = exported(temp, temp / "run", "trained");
  CHECK(text_of(trained / "generation_config.json") == generation);
  CHECK(text_of(trained / "chat_template.jinja") == "{{ messages }}");
  CHECK(text_of(trained / "LICENSE") == "as it was");
  CHECK(!fs::exists(trained / "README.md"));
  // If no file but config.json has the EOS ids, the run has one that does.
  fs::remove(model / "generation_config.json");
  must({"train", small_run().config, "--init-from", model, "--out", temp / "bare", "train.steps=1"});
  CHECK(json_of(exported(temp, temp / "bare", "bare-hf") / "generation_config.json")["eos_token_id"] ==
        json{2, 7, 9});
  const fs::path of_checkpoint = exported(temp, temp / "run/checkpoints/step-00000001", "checkpoint");
  CHECK(text_of(of_checkpoint / "chat_template.jinja") == "{{ messages }}");
}

TEST_CASE(
    "foreign_models: a directory of checkpoints is a model, and one of several runs names one of them") {
  const TempDir temp;
  fs::copy(small_run().run / "checkpoints", temp / "kept", fs::copy_options::recursive);
  for (const fs::path& path : {small_run().run / "checkpoints", temp / "kept"}) {
    const ProgramResult result = eval(path);
    CHECK(ce_of(result) == ce_of(eval(small_run().run)));
    CHECK(json::parse(result.out)["step"] == 20);
  }
  fs::create_directories(temp / "runs/a/checkpoints");
  const ProgramResult result = eval(temp / "runs");
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Contains("name one of the models in it, such as " + (temp / "runs/a").string()));
}

TEST_CASE("foreign_models: data of another vocabulary leads to the data, where the model's is fixed") {
  const TempDir temp;
  must({"data", "build", "--tokenizer", small_run().tokenizer, "--input", small_run().texts, "--split-lines",
        "--vocab-size", "360", "--val-fraction", "0.2", "--out", temp / "data"});
  const std::string data = "data.path=" + (temp / "data").string();
  const fs::path run = copy_of(small_run().run, temp);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"eval", run, "--data", temp / "data"},
        {"train", small_run().config, "--init-from", run, "--out", temp / "new", data},
        {"train", small_run().config, "--resume", "--out", run, data, "train.steps=30",
         "model.vocab_size=350"}}) {
    const ProgramResult result = run_program(command);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains("the shards have a vocabulary of 360, the model of 350") &&
                               Contains("--vocab-size 350") && !Contains("set model.vocab_size"));
  }
  const ProgramResult resumed =
      run_program({"train", small_run().config, "--resume", "--out", run, data, "train.steps=30"});
  CHECK(resumed.exit_code == 2);
  CHECK_THAT(resumed.err, Contains((temp / "data").string()) && !Contains("model.vocab_size"));
}

TEST_CASE("foreign_models: an endless run states how many tokens it would have") {
  const ProgramResult result = must({"train", small_run().config, "--dry-run", "train.steps=1000000000000",
                                     "train.batch_size=4000000", "checkpoint.keep=1"});
  CHECK(json::parse(result.out)["tokens"] == 1.28e20);
  CHECK(json::parse(must({"train", small_run().config, "--dry-run"}).out)["tokens"] == 20 * 8 * 32);
}

TEST_CASE("foreign_models: eval.every without a validation split says which key asks for it") {
  const TempDir temp;
  must({"data", "build", "--tokenizer", small_run().tokenizer, "--input", small_run().texts, "--out",
        temp / "data"});
  const ProgramResult result = run_program(
      {"train", small_run().config, "--out", temp / "run", "data.path=" + (temp / "data").string()});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Contains("eval.every asks for evaluations") &&
                             Contains("no shards of the val split") && Contains("; or set eval.every = 0"));
}
#endif
