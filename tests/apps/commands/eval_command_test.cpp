#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// granule eval from outside: what it prints, what overrides do, what it refuses.
#include <cmath>
#include <fstream>
#include <numeric>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/small_tokenizer.hpp"

using namespace granule::test;
using Catch::Contains;
using Catch::StartsWith;
namespace fs = std::filesystem;

namespace {

ProgramResult run_eval(const fs::path& model, const fs::path& data,
                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"eval", model, "--data", data};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

nlohmann::json eval(const fs::path& model, const std::vector<std::string>& more = {}) {
  const ProgramResult result = run_eval(model, small_run().data, more);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return nlohmann::json::parse(result.out);
}

std::int64_t routed(const nlohmann::json& layer) {
  const auto counts = layer["counts"].get<std::vector<std::int64_t>>();
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

nlohmann::json last_metrics_row() {
  std::ifstream file(small_run().run / "metrics.jsonl");
  std::string line, last;
  while (std::getline(file, line)) last = line;
  return nlohmann::json::parse(last);
}

}  // namespace

TEST_CASE("eval_command: an evaluation says that data do not record their tokenizer") {
  const TempDir temp;
  write_shard(temp / "val-00000.h5", patterned_documents(2, 90, 59), 350);
  const ProgramResult result = run_program({"eval", small_run().run, "--data", temp / "."});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("does not say which tokenizer made it"));
  const ProgramResult own = run_program({"eval", small_run().run, "--data", small_run().data});
  CHECK_THAT(own.err, !Contains("does not say which tokenizer made it"));
}

TEST_CASE("eval_command: eval prints one object: losses of the whole split and the load of every layer") {
  const auto report = eval(small_run().run);
  CHECK(report["step"] == 20);
  CHECK(report["split"] == "val");
  CHECK(report["seq_len"] == 32);
  CHECK(report["tokens"] == report["samples"].get<std::int64_t>() * 32);
  // What the run itself measured at its end, with the same weights in the same order.
  const auto row = last_metrics_row();
  CHECK(report["ce"] == row["val_ce"]);
  CHECK(report["perplexity"] == row["val_perplexity"]);
  CHECK(report["bits_per_byte"] == row["val_bits_per_byte"]);
  CHECK(report["perplexity"].get<double>() == Approx(std::exp(report["ce"].get<double>())).epsilon(1e-14));
  CHECK(report["aux"].get<double>() >= 1.0);
  REQUIRE(report["layers"].size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& layer = report["layers"][i];
    CHECK(layer["layer"] == i + 1);
    CHECK(layer["counts"].size() == 8);
    CHECK(routed(layer) == 3 * report["tokens"].get<std::int64_t>());
    const double mean = static_cast<double>(routed(layer)) / 8;
    double largest = 0, squares = 0;
    int dead = 0;
    for (const double count : layer["counts"]) {
      largest = std::max(largest, count);
      squares += (count - mean) * (count - mean);
      dead += count == 0 ? 1 : 0;
    }
    CHECK(layer["max_over_mean"].get<double>() == Approx(largest / mean).epsilon(1e-12));
    CHECK(layer["cv"].get<double>() == Approx(std::sqrt(squares / 8) / mean).epsilon(1e-12));
    CHECK(layer["dead"] == dead);
  }
}

TEST_CASE("eval_command: --by-expert replaces an older answer and nothing else") {
  const TempDir temp;
  write_text(temp / "question.toml", "[model]\n");
  const auto words = [&](const char* file) {
    return std::vector<std::string>{"eval",           small_run().run, "--data",
                                    small_run().data, "--by-expert",   temp / file};
  };
  const auto refused = run_program(words("question.toml"));
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("was not written by --by-expert"));
  CHECK(text_of(temp / "question.toml") == "[model]\n");
  CHECK(run_program(words("answer.json")).exit_code == 0);
  CHECK(run_program(words("answer.json")).exit_code == 0);
}

TEST_CASE("eval_command: the choices of each expert have pieces and classes of the model's tokenizer") {
  const TempDir temp;
  const auto report = eval(small_run().run, {"--by-expert", temp / "by-expert.json", "--split", "train"});
  const auto choices = nlohmann::json::parse(text_of(temp / "by-expert.json"));
  CHECK(choices["split"] == "train");
  CHECK(choices["documents"].get<int>() > 0);
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& layer = choices["by_layer"][i];
    for (const auto& expert : layer["experts"]) {
      CHECK(expert["load"] == report["layers"][i]["counts"][expert["expert"].get<std::size_t>()]);
      double shares = 0.0, last = 1e300;
      for (const auto& [name, share] : expert["classes"].items()) shares += share.get<double>();
      CHECK(shares == Approx(expert["load"] == 0 ? 0.0 : 1.0).epsilon(1e-12));
      for (const auto& token : expert["tokens"]) {
        CHECK(token["piece"].is_string());
        CHECK(token["lift"].get<double>() > 1.0);
        CHECK(token["lift"].get<double>() <= last);
        last = token["lift"];
        ++tokens;
      }
    }
  }
  CHECK(tokens > 8);
}

TEST_CASE("eval_command: --text measures what eval measures after data build, and leaves nothing behind") {
  const TempDir temp;
  fs::create_directory(temp / "texts");
  write_text(temp / "texts/a.txt", prose(8, 40));
  write_text(temp / "texts/b.jsonl", "{\"text\": \"the old sea\"}\n");
  fs::create_directory(temp / "tmp");
  const auto text = [&](const std::vector<std::string>& more, const std::string& input = {}) {
    std::vector<std::string> arguments{"eval", small_run().run, "--text"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result =
        run_program(arguments, {.environment = {{"TMPDIR", temp / "tmp"}}, .input = input});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(fs::is_empty(temp / "tmp"));
    return nlohmann::json::parse(result.out);
  };
  REQUIRE(run_program({"data", "build", "--tokenizer", small_run().tokenizer, "--input", temp / "texts",
                       "--out", temp / "built"})
              .exit_code == 0);
  auto wanted = nlohmann::json::parse(run_eval(small_run().run, temp / "built", {"--split", "train"}).out);
  auto measured = text({temp / "texts"});
  CHECK(measured["data"] == (temp / "texts").string());
  wanted["data"] = measured["data"];
  wanted["split"] = nullptr;
  CHECK(measured == wanted);
  CHECK(text({temp / "texts/a.txt"})["ce"] == text({"-"}, text_of(temp / "texts/a.txt"))["ce"]);
}

TEST_CASE("eval_command: a text that is shorter than a sequence of training is one sequence") {
  const auto run = [](const std::vector<std::string>& more, const std::string& input) {
    std::vector<std::string> arguments{"eval", small_run().run, "--text", "-"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, {.input = input});
  };
  const ProgramResult result = run({}, "the old sea");
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto report = nlohmann::json::parse(result.out);
  CHECK(report["samples"] == 1);
  CHECK(report["tokens"] == report["seq_len"]);
  CHECK_THAT(result.err, Contains("data.seq_len is "));
  CHECK(nlohmann::json::parse(run({"data.seq_len=32"}, "the old sea").out)["tokens"] == report["tokens"]);
  CHECK_THAT(run({"data.seq_len=2"}, "the old sea").err, Contains("fill no sequence and are not measured"));
  CHECK(report["split"].is_null());
  const ProgramResult keyed = run({"--text-key", "body"}, "{\"body\": \"the old sea\"}\n");
  CHECK(nlohmann::json::parse(keyed.out)["ce"] == report["ce"]);
  CHECK_THAT(run({}, "").err, Contains("error"));
  CHECK_THAT(run({"--split", "val"}, "the old sea").err, Contains("--split is for --data"));
  CHECK_THAT(run({"--data", small_run().data}, "the old sea").err, Contains("give --data or --text"));
}

TEST_CASE("eval_command: bits per byte is the cross-entropy of the split over its bytes") {
  const auto report = eval(small_run().run);
  const auto inspected = run_program({"data", "inspect", small_run().data});
  const auto val = nlohmann::json::parse(inspected.out)["splits"]["val"];
  const double bytes_per_token = val["bytes"].get<double>() / val["tokens"].get<double>();
  // The samples leave out the first token and the end of the split: a few tokens of thousands.
  CHECK(report["bits_per_byte"].get<double>() ==
        Approx(report["ce"].get<double>() / std::log(2.0) / bytes_per_token).epsilon(0.01));
}

TEST_CASE("eval_command: overrides change how a model is evaluated, not what it is") {
  const auto plain = eval(small_run().run);
  const double ce = plain["ce"];
  CHECK(routed(eval(small_run().run, {"moe.num_experts_per_tok=1"})["layers"][0]) == plain["tokens"]);
  // Sums of some thousand terms in float32 on one side.
  CHECK(eval(small_run().run, {"train.dtype=f64"})["ce"].get<double>() == Approx(ce).epsilon(1e-6));
  // Another order of the same sums.
  CHECK(eval(small_run().run, {"train.micro_batch_size=3"})["ce"].get<double>() == Approx(ce).epsilon(1e-6));
  CHECK(eval(small_run().run, {"train.threads=2"})["ce"] == ce);
  const auto shorter = eval(small_run().run, {"data.seq_len=8"});
  CHECK(shorter["seq_len"] == 8);
  CHECK(shorter["samples"].get<int>() >= 4 * plain["samples"].get<int>());
  const auto train = eval(small_run().run, {"--split", "train"});
  CHECK(train["tokens"].get<std::int64_t>() > 5 * plain["tokens"].get<std::int64_t>());
}

TEST_CASE(
    "eval_command: keys without effect on an evaluation are refused, and so are those that change shapes") {
  for (const char* const override :
       {"optim.lr=1", "train.batch_size=4", "moe.aux_loss_alpha=0", "data.path=x", "train.steps=3",
        "data.shuffle=false", "eval.batches=1", "model.initializer_range=1"}) {
    const auto result = run_eval(small_run().run, small_run().data, {override});
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains("has no effect on an evaluation") &&
                               Contains(override));
  }
  const std::vector<std::pair<std::string, std::string>> rows{
      {"moe.n_routed_experts=16", "would change the shape"},
      {"moe.n_expert=4", "unknown key"},
      {"moe.router=hash", "would change the shape"},
      {"moe.num_experts_per_tok=9", "exceeds"},
      {"data.seq_len=65", "exceeds"},
      {"data.seq_len", "no override"}};
  for (const auto& [override, message] : rows) {
    const auto result = run_eval(small_run().run, small_run().data, {override});
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Contains(message));
  }
}

TEST_CASE("eval_command: data that the model cannot be measured on is refused before the model runs") {
  const TempDir temp;
  write_shard(temp / "val-00000.h5", patterned_documents(4, 90, 59), 59);
  CHECK_THAT(run_eval(small_run().run, temp.path()).err, Contains("vocabulary of 59, the model of 350"));

  // The same size of vocabulary, other pieces.
  write_text(temp / "other.txt", prose(9, 3000) + prose(9, 50));
  replace_in(temp / "other.txt", "whale", "zebra");
  REQUIRE(run_program({"tokenizer", "train", "--input", temp / "other.txt", "--vocab-size", "350", "--out",
                       temp / "other.model"})
              .exit_code == 0);
  REQUIRE(run_program({"data", "build", "--tokenizer", temp / "other.model", "--input", temp / "other.txt",
                       "--out", temp / "other", "--val-fraction", "0.5"})
              .exit_code == 0);
  const auto other = run_eval(small_run().run, temp / "other");
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Contains("built with tokenizer"));

  fs::create_directory(temp / "a");
  write_shard(temp / "a/train-00000.h5", patterned_documents(4, 90, 350), 350);
  CHECK_THAT(run_eval(small_run().run, temp / "a").err, Contains("no shards of the val split"));
  write_shard(temp / "a/val-00000.h5", patterned_documents(1, 20, 350), 350);
  CHECK_THAT(run_eval(small_run().run, temp / "a").err, Contains("one sample of data.seq_len = 32 needs 33"));
  CHECK_THAT(run_eval(small_run().run, temp / "missing").err, Contains("no such directory"));
  CHECK_THAT(run_eval(small_run().run, small_run().data, {"--split", "test"}).err, Contains("--split"));
}

TEST_CASE("eval_command: shards that do not say how many bytes they are have no bits per byte") {
  const TempDir temp;
  const auto script = R"(
import h5py, numpy, sys
with h5py.File(sys.argv[1], "w") as file:
    file["data"] = (numpy.arange(400) * 7 % 350).astype("<u2")
)";
  const auto made = run_program({"-c", script, temp / "val-00000.h5"}, {.program = "/usr/bin/python3"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const auto result = run_eval(small_run().run, temp.path());
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(nlohmann::json::parse(result.out)["bits_per_byte"].is_null());
}

TEST_CASE("eval_command: a run, its checkpoint and its export are the same model to eval") {
  const TempDir temp;
  const double ce = eval(small_run().run)["ce"];
  CHECK(eval(small_run().run / "checkpoints/step-00000020")["ce"] == ce);
  CHECK(eval(small_run().run / "checkpoints/step-00000010")["ce"].get<double>() > ce);
  const auto exported = run_program({"export", small_run().run, "--format", "hf", "--out", temp / "hf"});
  INFO(exported.err);
  REQUIRE(exported.exit_code == 0);
  const auto report = eval(temp / "hf", {"data.seq_len=32", "train.micro_batch_size=4"});
  CHECK(report["ce"] == ce);
  CHECK(report["step"].is_null());
  CHECK(eval(temp / "hf")["seq_len"] == 64);  // what config.json says of the longest sequence
}

TEST_CASE(
    "eval_command: a damaged newest checkpoint is passed over by name, and refused when it is asked for") {
  const TempDir temp;
  const fs::path run = copy_of(small_run().run, temp);
  damage(run / "checkpoints/step-00000020/model-00001-of-00001.safetensors");
  const auto result = run_eval(run, small_run().data);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains("granule: warning: passed over ") && Contains("step-00000020"));
  CHECK(nlohmann::json::parse(result.out)["step"] == 10);
  for (const char* const command : {"eval", "inspect"}) {
    std::vector<std::string> arguments{command, run / "checkpoints/step-00000020"};
    if (arguments[0] == "eval") arguments.insert(arguments.end(), {"--data", small_run().data});
    const auto refused = run_program(arguments);
    CHECK(refused.exit_code == 2);
    CHECK(refused.out.empty());
    CHECK_THAT(refused.err, Contains("damaged checkpoint"));
  }
  damage(run / "checkpoints/step-00000010/state.json");
  const auto none = run_eval(run, small_run().data);
  CHECK(none.exit_code == 2);
  CHECK_THAT(none.err, Contains("step-00000010") && Contains("every checkpoint of the run is damaged"));
}
#endif
