#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// From text files to an exported model, and back into training. Only the commands are used.
#include <fstream>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/small_tokenizer.hpp"

using namespace granule::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

ProgramResult must_run(const std::vector<std::string>& arguments) {
  ProgramResult result = run_program(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

json first_row(const fs::path& run) {
  std::ifstream file(run / "metrics.jsonl");
  std::string line;
  REQUIRE(std::getline(file, line));
  return json::parse(line);
}

}  // namespace

TEST_CASE("text becomes a tokenizer, shards, a model, a sample and an export that trains on") {
  const TempDir temp;
  const auto at = [&](const char* name) { return (temp / name).string(); };
  write_text(temp / "book.txt", prose(11, 1500));
  must_run(
      {"tokenizer", "train", "--input", at("book.txt"), "--vocab-size", "320", "--out", at("tok.model")});
  must_run({"data", "build", "--tokenizer", at("tok.model"), "--input", at("book.txt"), "--out", at("data"),
            "--val-fraction", "0.1"});
  const std::string config = source_dir() + "/configs/tiny.toml";
  must_run({"train", config, "data.path=" + at("data"), "train.steps=20", "--out", at("run")});

  const json evaluated = json::parse(must_run({"eval", at("run"), "--data", at("data")}).out);
  CHECK(evaluated["ce"].get<double>() < std::log(320.0));  // better than guessing
  CHECK(must_run({"generate", at("run"), "--prompt", "the old", "--max-tokens", "10"}).out.size() > 1);
  must_run({"export", at("run"), "--format", "hf", "--out", at("hf")});

  // A step that changes nothing. Its evaluation is that of the initial weights.
  must_run({"train", config, "data.path=" + at("data"), "train.steps=1", "optim.lr=0", "eval.every=1",
            "eval.batches=0", "--init-from", at("hf"), "--out", at("again")});
  const double ce = evaluated["ce"];
  CHECK(first_row(temp / "again")["val_ce"].get<double>() == Approx(ce).epsilon(1e-6));

  must_run({"inspect", at("again")});
  const json again = json::parse(must_run({"eval", at("again"), "--data", at("data")}).out);
  CHECK(again["ce"] == ce);  // the weights and the order of sums are the same
}

TEST_CASE("an existing tokenizer.json goes all the way from text to an export, with the EOS it was given") {
  const TempDir temp;
  const auto at = [&](const char* name) { return (temp / name).string(); };
  auto tokenizer = json::parse(text_of(fs::path(fixtures_dir()) / "tokenizers/base.json"));
  tokenizer["added_tokens"].push_back({{"id", 660}, {"content", "</s>"}, {"special", true}});
  write_text(temp / "tokenizer.json", tokenizer.dump());
  write_text(temp / "book.txt", prose(11, 1500));
  const std::vector<std::string> build{"data",           "build",        "--tokenizer", at("tokenizer.json"),
                                       "--input",        at("book.txt"), "--out",       at("data"),
                                       "--val-fraction", "0.1"};
  const ProgramResult open = run_program(build);  // both tokens usually are EOS
  CHECK(open.exit_code == 2);
  CHECK_THAT(open.err, Catch::Contains("</s> could both end documents") && Catch::Contains("--eos TOKEN"));
  CHECK_FALSE(fs::exists(temp / "data"));
  auto with_eos = build;
  with_eos.insert(with_eos.end(), {"--eos", "</s>"});
  must_run(with_eos);
  const json data = json::parse(must_run({"data", "inspect", at("data")}).out);
  CHECK(data["tokenizer"] == "tokenizer.json");
  CHECK(data["shards"][0]["attributes"]["eos_id"] == 660);
  CHECK(data["shards"][0]["attributes"]["tokenizer_sha256"] == data["tokenizer_sha256"]);
  CHECK(prose(11, 1500).starts_with(data["shards"][0]["first_text"].get<std::string>()));

  const std::string config = source_dir() + "/configs/tiny.toml";
  must_run({"train", config, "data.path=" + at("data"), "train.steps=20", "--out", at("run")});
  CHECK(text_of(temp / "run/tokenizer.json") == text_of(temp / "tokenizer.json"));
  CHECK(must_run({"generate", at("run"), "--prompt", "the old", "--max-tokens", "10"}).out.size() > 1);
  must_run({"export", at("run"), "--format", "hf", "--out", at("hf")});
  CHECK(text_of(temp / "hf/tokenizer.json") == text_of(temp / "tokenizer.json"));
  CHECK(json::parse(text_of(temp / "hf/tokenizer_config.json"))["eos_token"] == "</s>");
  CHECK(json::parse(text_of(temp / "hf/config.json"))["eos_token_id"] == 660);
  CHECK(must_run({"generate", at("hf"), "--prompt", "the old", "--max-tokens", "10"}).out ==
        must_run({"generate", at("run"), "--prompt", "the old", "--max-tokens", "10"}).out);
  must_run({"eval", at("hf"), "--data", at("data")});
}
#endif
