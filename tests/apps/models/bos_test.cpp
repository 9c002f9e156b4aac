// A BOS before documents: in training, at the start of generated text, and in an export's tokenizer.
#include <nlohmann/json.hpp>

#include "apps/models/model_files.hpp"
#include "data/files/files.hpp"
#include "data/sampling/token_source.hpp"
#include "data/tokenizers/special_tokens.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using nlohmann::json;
using test::fixtures_dir;
using test::TempDir;

constexpr const char* kBos = "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>";  // id 0 of base.json
constexpr const char* kConfig = R"(
[model]
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 16
max_position_embeddings = 32
[moe]
n_routed_experts = 2
num_experts_per_tok = 1
moe_intermediate_size = 8
[data]
path = "set"
seq_len = 16
[train]
steps = 1
batch_size = 2
micro_batch_size = 2
threads = 1
)";

json template_of(const char* token, std::int32_t id) {
  return {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", token}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"pair",
       {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
      {"special_tokens", {{token, {{"id", token}, {"ids", {id}}, {"tokens", {token}}}}}}};
}

/// A tokenizer that adds a BOS before every text. The tokenizer.json itself does it, as Llama 3's. Or the
/// config in its folder says so, as DeepSeek's.
void put_tokenizer(const fs::path& directory, bool in_file) {
  json file = json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers/base.json"));
  file["post_processor"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}, {"use_regex", true}};
  if (in_file)
    file["post_processor"] = {{"type", "Sequence"},
                              {"processors", {file["post_processor"], template_of(kBos, 0)}}};
  json config{{"tokenizer_class", "LlamaTokenizerFast"}, {"bos_token", kBos}};
  if (!in_file) config["add_bos_token"] = true;
  fs::create_directory(directory);
  write_file(directory / "tokenizer.json", file.dump());
  write_file(directory / "tokenizer_config.json", config.dump());
}

std::string must_run(const TempDir& dir, const std::vector<std::string>& arguments) {
  test::ProgramOptions options;
  options.working_directory = dir.path();
  const auto result = test::run_program(arguments, options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result.out;
}

void build(const TempDir& dir, const fs::path& tokenizer, const std::string& out, bool bos) {
  write_file(dir / "lines.jsonl",
             "{\"text\": \"the white whale\"}\n{\"text\": \"" + std::string(80, 'x') + "\"}\n");
  std::vector<std::string> arguments{"data",    "build",       "--tokenizer", tokenizer,
                                     "--input", "lines.jsonl", "--out",       out};
  if (bos) arguments.emplace_back("--bos");
  CHECK(json::parse(must_run(dir, arguments))["bos"] == bos);
  fs::remove(dir / "lines.jsonl");
}

void build_and_export(const TempDir& dir, const fs::path& tokenizer, bool bos) {
  build(dir, tokenizer, "set", bos);
  write_file(dir / "run.toml", kConfig);
  must_run(dir, {"train", "run.toml", "--out", "run"});
  must_run(dir, {"export", "run", "--format", "hf", "--out", "hf"});
}

/// The names of the tokens that other programs get before a text when they call the tokenizer.
std::string before_text(const json& processor) {
  std::string before;
  if (processor.is_null()) return before;
  for (const json& part : processor.value("processors", json::array())) before += before_text(part);
  for (const json& piece : processor.value("single", json::array())) {
    if (piece.contains("SpecialToken")) before += piece["SpecialToken"]["id"].get<std::string>();
  }
  return before;
}

TEST_CASE("bos: an exported tokenizer puts a BOS before a text where training had one, and only there") {
  const bool in_file = GENERATE(true, false), bos = GENERATE(true, false);
  CAPTURE(in_file, bos);
  const TempDir dir;
  put_tokenizer(dir / "source", in_file);
  build_and_export(dir, "source/tokenizer.json", bos);
  const TokenSource data(dir / "set", Split::train);
  CHECK(data.bos_of_documents() == (bos ? std::optional(0) : std::nullopt));
  CHECK(ModelFiles::open(dir / "run").bos_of_documents() == data.bos_of_documents());
  CHECK(ModelFiles::open(dir / "hf").bos_of_documents() == data.bos_of_documents());

  const json file = json::parse(read_file(dir / "hf/tokenizer.json"));
  const json config = json::parse(read_file(dir / "hf/tokenizer_config.json"));
  CHECK(before_text(file["post_processor"]) == (bos ? kBos : ""));
  CHECK(config["add_bos_token"] == bos);
  CHECK(config["add_eos_token"] == false);
  CHECK(config["bos_token"] == kBos);
  // It still counts as the run's own tokenizer, for the run's data and for data built with the export.
  must_run(dir, {"eval", "hf", "--data", "set", "--split", "train", "data.seq_len=16"});
  build(dir, "hf", "again", bos);
  must_run(dir, {"eval", "run", "--data", "again", "--split", "train"});
  must_run(dir, {"eval", "hf", "--data", "again", "--split", "train", "data.seq_len=16"});
}

TEST_CASE(
    "bos: generate starts with the BOS that documents began with in training, and an export goes on so") {
  const TempDir dir;
  put_tokenizer(dir / "source", true);
  build_and_export(dir, "source", true);
  const auto text = [&](const char* model) {
    return must_run(dir, {"generate", model, "--prompt", "the", "--max-tokens", "8", "--temperature", "0"});
  };
  CHECK(text("run") == text("hf"));
  build(dir, "source", "plain", false);
  must_run(dir, {"train", "run.toml", "--out", "other", "data.path=plain", "train.steps=1"});
  CHECK_FALSE(ModelFiles::open(dir / "other").bos_of_documents().has_value());
}

TEST_CASE("bos: a post-processor is changed only where it does something else than training did") {
  const json level{{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}};
  json file{{"post_processor", level}};
  CHECK_FALSE(set_bos(file, std::nullopt));
  CHECK(set_bos(file, BosToken{"<s>", 1}));
  CHECK(before_text(file["post_processor"]) == "<s>");
  CHECK_FALSE(set_bos(file, BosToken{"<s>", 1}));
  CHECK(set_bos(file, std::nullopt));
  CHECK(file["post_processor"]["processors"] == json::array({level}));
  file["post_processor"] = {{"type", "RobertaProcessing"}, {"sep", {"</s>", 2}}, {"cls", {"<s>", 0}}};
  CHECK(set_bos(file, std::nullopt));
  CHECK(file["post_processor"].is_null());
  file = json::object();
  CHECK_FALSE(set_bos(file, std::nullopt));
}

#ifdef GRANULE_WITH_SENTENCEPIECE

TEST_CASE("bos: a SentencePiece model's BOS goes the same way, and the config of an export says it") {
  const bool bos = GENERATE(true, false);
  const TempDir dir;
  build_and_export(dir, test::small_tokenizer(), bos);
  CHECK(TokenSource(dir / "set", Split::train).bos_of_documents() == (bos ? std::optional(1) : std::nullopt));
  const json config = json::parse(read_file(dir / "hf/tokenizer_config.json"));
  CHECK(config["add_bos_token"] == bos);
  CHECK(ModelFiles::open(dir / "hf").bos_of_documents() == (bos ? std::optional(1) : std::nullopt));
}

#endif

}  // namespace
}  // namespace granule
