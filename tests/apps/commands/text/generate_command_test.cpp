#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// granule generate from outside.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/generation/decoder.hpp"
#include "apps/generation/token_sampler.hpp"
#include "apps/models/model_files.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/small_tokenizer.hpp"

using namespace granule::test;
using Catch::Contains;
using Catch::StartsWith;
namespace fs = std::filesystem;

namespace {

ProgramResult generate(const fs::path& model, const std::string& prompt,
                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"generate", model, "--prompt", prompt};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

std::string text(const std::string& prompt, const std::vector<std::string>& more = {}) {
  const ProgramResult result = generate(small_run().run, prompt, more);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE(result.out.ends_with('\n'));
  return result.out;
}

/// A seed with which "the old" goes on for `tokens` tokens.
std::string seed_of_long_text(const std::string& tokens) {
  for (int seed = 0; seed < 50; ++seed) {
    const auto result =
        generate(small_run().run, "the old", {"--max-tokens", tokens, "--seed", std::to_string(seed)});
    if (result.err.find("--max-tokens reached") != std::string::npos) return std::to_string(seed);
  }
  FAIL("every text ends early");
  return {};
}

}  // namespace

TEST_CASE("generate_command: the seed decides the text") {
  const std::vector<std::string> options{"--max-tokens", "20", "--temperature", "1", "--seed", "5"};
  const std::string first = text("the white", options);
  CHECK(first == text("the white", options));
  CHECK(first != text("the white", {"--max-tokens", "20", "--temperature", "1", "--seed", "6"}));
  CHECK(first != text("the white", {"--max-tokens", "20", "--temperature", "0", "--seed", "5"}));
}

TEST_CASE("generate_command: temperature 0, top-k 1 and a tiny top-p are all greedy") {
  std::size_t longest = 0;
  for (const char* const prompt : {"the white", "the old", "a", "sea"}) {
    const std::string greedy = text(prompt, {"--max-tokens", "12", "--temperature", "0"});
    CHECK(text(prompt, {"--max-tokens", "12", "--top-k", "1", "--seed", "7"}) == greedy);
    CHECK(text(prompt, {"--max-tokens", "12", "--top-p", "1e-9"}) == greedy);
    longest = std::max(longest, greedy.size());
  }
  CHECK(longest > 5);  // at least one word
}

TEST_CASE("generate_command: a text is what follows the end of a document and the prompt") {
  const auto files = granule::ModelFiles::open(small_run().run);
  const auto tokenizer = granule::open_tokenizer(*files.tokenizer());
  granule::Context context;
  const auto model = files.load(context, files.config(), files.config().train.dtype, granule::Gradients::no);
  for (const char* const prompt : {"the old", ""}) {
    granule::Decoder decoder(context, *model, 64);
    std::vector<std::int32_t> next{*tokenizer->eos_id()}, chosen;
    for (const std::int32_t id : tokenizer->encode(prompt)) next.push_back(id);
    while (chosen.size() < 10) {
      const auto logits = decoder.feed(next);
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      if (best == *tokenizer->eos_id()) break;
      chosen.push_back(static_cast<std::int32_t>(best));
      next = {chosen.back()};
    }
    // decode() removes the tokenizer's own space only where a document starts.
    std::string expected = tokenizer->decode(chosen);
    if (*prompt != '\0' && tokenizer->token_bytes(chosen.at(0)).starts_with(' ')) expected.insert(0, " ");
    CHECK(text(prompt, {"--max-tokens", "10", "--temperature", "0"}) == expected + "\n");
  }
}

TEST_CASE(
    "generate_command: where attention stays inside documents, a text does not see the end of the one "
    "before") {
  const TempDir temp;
  const ProgramResult trained = run_program(
      {"train", small_run().config, "data.document_mask=true", "train.steps=10", "--out", temp / "run"});
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  const auto files = granule::ModelFiles::open(temp / "run");
  const auto tokenizer = granule::open_tokenizer(*files.tokenizer());
  granule::Context context;
  const auto model = files.load(context, files.config(), files.config().train.dtype, granule::Gradients::no);
  // The temperature is so high that the end of the text is rarely drawn.
  const std::vector<std::string> options{"--max-tokens", "8", "--temperature", "3", "--seed", "4"};
  for (const char* const prompt : {"the old", ""}) {
    granule::TokenSampler sampler({.temperature = 3.0, .seed = 4});
    std::vector<std::int32_t> seen = tokenizer->encode(prompt), chosen;
    while (chosen.size() < 8) {
      granule::Decoder fresh(context, *model, 64);
      // Without a context, the first token is the one that follows the end of a document.
      const auto logits = fresh.feed(seen.empty() ? std::vector{*tokenizer->eos_id()} : seen);
      const std::int32_t next = sampler.choose(logits);
      if (next == *tokenizer->eos_id()) break;
      chosen.push_back(next);
      seen.push_back(next);
    }
    REQUIRE(chosen.size() > 3);
    std::string expected = tokenizer->decode(chosen);
    if (*prompt != '\0' && tokenizer->token_bytes(chosen.at(0)).starts_with(' ')) expected.insert(0, " ");
    const ProgramResult result = generate(temp / "run", prompt, options);
    INFO(result.err);
    CHECK(result.out == expected + "\n");
  }
  std::string all_positions;
  while (tokenizer->encode(all_positions + " the").size() <= 64) all_positions += " the";
  REQUIRE(tokenizer->encode(all_positions).size() == 64);
  CHECK(generate(temp / "run", all_positions, {"--max-tokens", "1"}).exit_code == 0);
  CHECK(generate(small_run().run, all_positions, {"--max-tokens", "1"}).exit_code == 2);
}

TEST_CASE("generate_command: the shorter text is the beginning of the longer one") {
  const std::string longer = text("the", {"--max-tokens", "16", "--seed", "2"});
  std::string shorter = text("the", {"--max-tokens", "8", "--seed", "2"});
  shorter.pop_back();
  CHECK_THAT(longer, StartsWith(shorter));
}

TEST_CASE(
    "generate_command: any prompt that is text is taken as it is, brackets, dashes and nothing included") {
  for (const char* const prompt :
       {"", "[a,b]", "{}", "- x", "--seed", "a=b", "der Wal \u00e4\U0001f40b", "\n"}) {
    INFO(prompt);
    CHECK(generate(small_run().run, prompt, {"--max-tokens", "2"}).exit_code == 0);
  }
}

TEST_CASE("generate_command: a text that starts a document has no space before its first word") {
  for (int seed = 0; seed < 4; ++seed) {
    const std::string out = text("", {"--max-tokens", "3", "--seed", std::to_string(seed)});
    CHECK_FALSE(out.starts_with(' '));
  }
}

TEST_CASE("generate_command: one token is not called tokens") {
  const auto one = generate(small_run().run, "the", {"--max-tokens", "1", "--temperature", "0"});
  CHECK_THAT(one.err, StartsWith("1 token after a prompt of 1 in "));
}

TEST_CASE("generate_command: text is cut at the model's last position, which is said and is no error") {
  // There are 64 positions: the end of the previous document and 63 tokens, the last of which predicts one
  // more. The temperature is so high that all tokens are about equally likely. The end of the text is one of
  // 350.
  for (int seed = 0; seed < 20; ++seed) {
    const auto result = generate(
        small_run().run, "",
        {"--max-tokens", "9223372036854775807", "--temperature", "1000", "--seed", std::to_string(seed)});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    if (result.err.find("the text ended") != std::string::npos) continue;
    CHECK_THAT(result.err, StartsWith("64 tokens after a prompt of 0 in ") &&
                               Contains("the model knows 64 positions") &&
                               Contains("max_position_embeddings"));
    return;
  }
  FAIL("every text ended by itself");
}

TEST_CASE("generate_command: an end-of-text token ends the text") {
  // The head has no bias. So the final norm's weights are all set to one row of the head, which makes the
  // embedding of the end the likeliest answer everywhere.
  const TempDir temp;
  REQUIRE(run_program({"export", small_run().run, "--format", "hf", "--out", temp / "hf"}).exit_code == 0);
  const char* const script = R"(
import json, struct, sys, numpy
path = sys.argv[1]
data = bytearray(open(path, "rb").read())
(length,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + length])
def view(name):
    begin, end = header[name]["data_offsets"]
    return numpy.frombuffer(data, "<f4", (end - begin) // 4, 8 + length + begin).reshape(header[name]["shape"])
view("model.norm.weight")[:] = 0
view("model.norm.weight")[0] = 1
head = view("lm_head.weight")
head[:] = 0
head[2, 0], head[9, 0] = 1e3, -1e3
open(path, "wb").write(data)
)";
  const auto edited =
      run_program({"-c", script, temp / "hf/model.safetensors"}, {.program = "/usr/bin/python3"});
  INFO(edited.err);
  REQUIRE(edited.exit_code == 0);
  // The sign of one number decides whether the next token is the end (id 2) or piece 9. Both kinds of text
  // must occur.
  bool ended = false;
  for (const char* const prompt : {"the", "a", "whale", "sea", "of the", "captain", "went"}) {
    const auto result = generate(temp / "hf", prompt, {"--max-tokens", "1", "--temperature", "0"});
    REQUIRE(result.exit_code == 0);
    if (result.err.find("the text ended") == std::string::npos) continue;
    ended = true;
    CHECK(result.out == "\n");
    CHECK_THAT(result.err, StartsWith("0 tokens after a prompt of "));
  }
  CHECK(ended);
}

TEST_CASE("generate_command: options out of range are refused by name") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> rows{
      {{"--temperature", "-0.1"}, "--temperature -0.1 is out of range"},
      {{"--temperature", "nan"}, "--temperature nan is out of range"},
      {{"--temperature", "inf"}, "--temperature inf is out of range"},
      {{"--temperature", "hot"}, "hot"},
      {{"--top-p", "0"}, "--top-p 0 is out of range"},
      {{"--top-p", "1.5"}, "--top-p 1.5 is out of range"},
      {{"--top-k", "-1"}, "--top-k -1 is out of range"},
      {{"--max-tokens", "0"}, "--max-tokens 0 is out of range"},
      {{"--max-tokens", "1.5"}, "1.5"},
      {{"--seed", "-1"}, "--seed -1 is out of range"},
      {{"moe.num_experts_per_tok=1"}, "see granule generate --help"}};
  for (const auto& [options, message] : rows) {
    const auto result = generate(small_run().run, "the", options);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains(message));
  }
}

TEST_CASE("generate_command: prompts that cannot be continued are refused") {
  const auto garbled = generate(small_run().run, "a\xff");
  CHECK(garbled.exit_code == 2);
  CHECK_THAT(garbled.err, Contains("not UTF-8 from byte 2 on (--prompt)"));
  const auto long_one = generate(small_run().run, prose(3, 20));
  CHECK(long_one.exit_code == 2);
  CHECK_THAT(long_one.err, Contains("one token comes before it, and the model knows 64 positions") &&
                               Contains("shorten it"));
  CHECK_THAT(run_program({"generate", small_run().run}).err, Contains("the prompt must be given once"));
}

TEST_CASE("generate_command: a model without its tokenizer cannot generate") {
  const TempDir temp;
  REQUIRE(run_program({"export", small_run().run, "--format", "hf", "--out", temp / "hf"}).exit_code == 0);
  fs::remove(temp / "hf/tokenizer.model");
  fs::remove(temp / "hf/tokenizer.json");
  const auto without = generate(temp / "hf", "the");
  CHECK(without.exit_code == 2);
  CHECK_THAT(without.err, Contains("the model has no tokenizer"));

  write_text(temp / "prose.txt", prose(4, 2000));
  REQUIRE(run_program({"tokenizer", "train", "--input", temp / "prose.txt", "--vocab-size", "351", "--out",
                       temp / "hf/tokenizer.model"})
              .exit_code == 0);
  const auto larger = generate(temp / "hf", "the");
  CHECK(larger.exit_code == 2);
  CHECK_THAT(larger.err, Contains("the tokenizer has 351 pieces, the model's vocabulary 350"));
}

TEST_CASE("generate_command: a prompt from a file or stdin loses one line end, and nothing else") {
  const std::string wanted = text("the old", {"--max-tokens", "5"});
  const TempDir temp;
  for (const std::string end : {"", "\n", "\r\n"}) {
    write_text(temp / "prompt.txt", "the old" + end);
    const auto from_file =
        run_program({"generate", small_run().run, "--prompt-file", temp / "prompt.txt", "--max-tokens", "5"});
    CHECK(from_file.out == wanted);
    const auto from_stdin = run_program({"generate", small_run().run, "--stdin", "--max-tokens", "5"},
                                        {.input = "the old" + end});
    CHECK(from_stdin.out == wanted);
  }
  const auto dash = run_program({"generate", small_run().run, "--prompt-file", "-", "--max-tokens", "5"},
                                {.input = "the old"});
  CHECK(dash.out == wanted);
  const auto two = run_program({"generate", small_run().run, "--stdin", "--prompt", "a"}, {.input = "b"});
  CHECK(two.exit_code == 2);
  CHECK_THAT(two.err, Contains("the prompt must be given once"));
  const auto garbled = run_program({"generate", small_run().run, "--stdin"}, {.input = "a\xff"});
  CHECK_THAT(garbled.err, Contains("not UTF-8 from byte 2 on (stdin)"));
}

TEST_CASE("generate_command: --echo and --json print the same text, with its prompt and its ids") {
  const std::vector<std::string> options{"--max-tokens", "6", "--seed", seed_of_long_text("6")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), options.begin(), options.end());
    return text("the old", more);
  };
  const std::string plain = with({}), body = plain.substr(0, plain.size() - 1);
  CHECK(with({"--echo"}) == "the old" + plain);
  const auto object = nlohmann::json::parse(with({"--json"}));
  CHECK(object["text"] == body);
  CHECK(object["prompt"] == "the old");
  CHECK(object["tokens"] == 6);
  CHECK(object["finish_reason"] == "max_tokens");
  const auto files = granule::ModelFiles::open(small_run().run);
  const auto tokenizer = granule::open_tokenizer(*files.tokenizer());
  std::string bytes;
  for (const auto& id : object["token_ids"]) bytes += tokenizer->token_bytes(id.get<std::int32_t>());
  CHECK(bytes == body);
  CHECK(nlohmann::json::parse(with({"--json", "--echo"}))["text"] == "the old" + body);
}

TEST_CASE("generate_command: a text ends before a --stop, wherever the tokens are cut") {
  const std::string seed = seed_of_long_text("12"),
                    whole = text("the old", {"--max-tokens", "12", "--seed", seed});
  REQUIRE(whole.size() > 20);
  for (const std::size_t at : {std::size_t{0}, std::size_t{3}, std::size_t{9}, std::size_t{16}}) {
    const std::string stop = whole.substr(at, 3);
    INFO(at << " " << stop);
    const auto result =
        generate(small_run().run, "the old",
                 {"--max-tokens", "12", "--seed", seed, "--stop", "never there", "--stop", stop, "--json"});
    REQUIRE(result.exit_code == 0);
    const auto object = nlohmann::json::parse(result.out);
    CHECK(object["text"] == whole.substr(0, whole.find(stop)));
    CHECK(object["finish_reason"] == "stop");
    CHECK_THAT(result.err, Contains("a --stop came"));
  }
  CHECK(text("the old", {"--max-tokens", "12", "--seed", seed, "--stop", "never there"}) == whole);
  CHECK_THAT(generate(small_run().run, "the", {"--stop", ""}).err, Contains("--stop is empty"));
}

TEST_CASE("generate_command: a reader that has seen enough stops the text without an error") {
  const auto result = run_program(
      {"-c", "{ \"$0\" generate \"$1\" --prompt the --max-tokens 60; echo code $? >&2; } | head -c 1",
       program_path(), small_run().run},
      {.program = "/bin/sh"});
  CHECK(result.out.size() == 1);
  CHECK_THAT(result.err, Contains("code 0"));
  CHECK(result.err.find("error") == std::string::npos);
}
#endif
