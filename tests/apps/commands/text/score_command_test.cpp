#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// granule score from outside.
#include <cmath>
#include <numeric>
#include <sstream>

#include <nlohmann/json.hpp>

#include "apps/models/model_files.hpp"
#include "apps/scoring/text_scorer.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
using Catch::Contains;
using nlohmann::json;

namespace {

ProgramResult score(const std::vector<std::string>& more, const std::string& input = {}) {
  std::vector<std::string> arguments{"score", small_run().run};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments, {.input = input});
}

/// The answers, one a line.
std::vector<json> answers(const std::vector<std::string>& more, const std::string& input = {}) {
  const ProgramResult result = score(more, input);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  std::vector<json> all;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
  return all;
}

std::string json_line(const json& line) {
  return line.dump() + "\n";
}

}  // namespace

TEST_CASE("score_command: a text has ids, pieces, log-probabilities, and the figures that follow from them") {
  const std::string text = "the old sea\n the white";
  const json answer = answers({"--text", text, "--logprobs"}).at(0);
  const auto files = granule::ModelFiles::open(small_run().run);
  const auto tokenizer = granule::open_tokenizer(*files.tokenizer());
  const auto ids = answer["token_ids"].get<std::vector<std::int32_t>>();
  CHECK(ids == tokenizer->encode(text));
  CHECK(answer["pieces"].size() == ids.size());
  CHECK(answer["pieces"][0] == tokenizer->token_name(ids[0]));
  const auto logprobs = answer["logprobs"].get<std::vector<double>>();
  REQUIRE(logprobs.size() == ids.size());
  CHECK(*std::max_element(logprobs.begin(), logprobs.end()) < 0.0);
  const double sum = std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  const auto tokens = static_cast<double>(ids.size()), bytes = static_cast<double>(text.size());
  CHECK(answer["log_likelihood"].get<double>() == Approx(sum).epsilon(1e-14));
  CHECK(answer["ce"].get<double>() == Approx(-sum / tokens).epsilon(1e-14));
  CHECK(answer["perplexity"].get<double>() == Approx(std::exp(-sum / tokens)).epsilon(1e-14));
  CHECK(answer["bits_per_byte"].get<double>() == Approx(-sum / std::log(2.0) / bytes).epsilon(1e-14));
  CHECK(answer["bytes"] == text.size());
  CHECK(answer["tokens"] == ids.size());
  const json without = answers({"--text", text}).at(0);
  CHECK_FALSE(without.contains("logprobs"));
  CHECK(without["log_likelihood"] == answer["log_likelihood"]);
}

TEST_CASE("score_command: a file, stdin and an option with the same text have the same score") {
  const TempDir temp;
  write_text(temp / "text.txt", "the old sea\n");
  const json wanted = answers({"--text", "the old sea\n", "--logprobs"}).at(0);
  CHECK(answers({"--file", temp / "text.txt", "--logprobs"}).at(0) == wanted);
  CHECK(answers({"--file", "-", "--logprobs"}, "the old sea\n").at(0) == wanted);
  CHECK(answers({"--jsonl", "-", "--logprobs"}, json_line({{"text", "the old sea\n"}})).at(0) == wanted);
}

TEST_CASE("score_command: continuations have the likelihood that they add to their prompt") {
  const std::vector<std::string> continuations{" sea", " white whale", " xq"};
  const auto all =
      answers({"--jsonl", "-", "--logprobs"},
              json_line({{"id", "q1"}, {"prompt", "the old"}, {"continuations", continuations}}) + "\n" +
                  json_line({{"text", "the old"}}));
  REQUIRE(all.size() == 2);
  CHECK(all[0]["id"] == "q1");
  CHECK(all[0]["prompt"] == "the old");
  const double prompt = all[1]["log_likelihood"].get<double>();
  std::vector<double> sums;
  for (std::size_t i = 0; i < continuations.size(); ++i) {
    const json& one = all[0]["continuations"][i];
    CHECK(one["text"] == continuations[i]);
    sums.push_back(one["log_likelihood"].get<double>());
    const json whole = answers({"--text", "the old" + continuations[i], "--logprobs"}).at(0);
    CHECK(prompt + sums.back() == Approx(whole["log_likelihood"].get<double>()).epsilon(1e-6));  // float32
    const auto logprobs = whole["logprobs"].get<std::vector<double>>();
    const std::size_t added = one["token_ids"].size();
    for (std::size_t j = 0; j < added; ++j) {
      CHECK(one["logprobs"][j].get<double>() == Approx(logprobs[logprobs.size() - added + j]).epsilon(1e-5));
    }
  }
  const auto best = std::max_element(sums.begin(), sums.end()) - sums.begin();
  CHECK(all[0]["likeliest"] == best);
  std::size_t per_byte = 0;
  for (std::size_t i = 1; i < sums.size(); ++i) {
    const auto mean = [&](std::size_t k) { return sums[k] / static_cast<double>(continuations[k].size()); };
    if (mean(i) > mean(per_byte)) per_byte = i;
  }
  CHECK(all[0]["likeliest_per_byte"] == per_byte);
}

TEST_CASE("score_command: equal continuations have equal scores, and the first of them is the likeliest") {
  const std::vector<std::string> equal{" whale", " whale", " whale"};
  const json line = answers({"--jsonl", "-"}, json_line({{"prompt", "a"}, {"continuations", equal}})).at(0);
  for (const json& one : line["continuations"])
    CHECK(one["log_likelihood"] == line["continuations"][0]["log_likelihood"]);
  CHECK(line["likeliest"] == 0);
  CHECK(line["likeliest_per_byte"] == 0);
}

TEST_CASE("score_command: a continuation that changes the prompt's last token is scored with that token") {
  const auto files = granule::ModelFiles::open(small_run().run);
  const auto tokenizer = granule::open_tokenizer(*files.tokenizer());
  const std::string prompt = "the ol", continuation = "d sea";
  const auto prompt_ids = tokenizer->encode(prompt), whole = tokenizer->encode(prompt + continuation);
  REQUIRE(!std::equal(prompt_ids.begin(), prompt_ids.end(), whole.begin()));
  const auto first = std::mismatch(prompt_ids.begin(), prompt_ids.end(), whole.begin()).second;
  const json one =
      answers({"--jsonl", "-"}, json_line({{"prompt", prompt}, {"continuations", {continuation}}}))
          .at(0)["continuations"][0];
  CHECK(one["token_ids"].get<std::vector<std::int32_t>>() == std::vector<std::int32_t>(first, whole.end()));
}

TEST_CASE("score_command: a continuation that greedy decoding would write is said to be greedy") {
  const ProgramResult greedy = run_program({"generate", small_run().run, "--prompt", "the old",
                                            "--max-tokens", "3", "--temperature", "0", "--json"});
  const json generated = json::parse(greedy.out);
  const std::string text = generated["text"].get<std::string>();
  const auto lines =
      answers({"--jsonl", "-"}, json_line({{"prompt", "the old"}, {"continuations", {text, text + " xq"}}}));
  CHECK(lines[0]["continuations"][0]["token_ids"] == generated["token_ids"]);
  CHECK(lines[0]["continuations"][0]["greedy"] == true);
  CHECK(lines[0]["continuations"][1]["greedy"] == false);
}

TEST_CASE("score_command: what cannot be scored is one clear error, before anything is scored") {
  const auto refused = [](const std::vector<std::string>& more, const std::string& input,
                          const std::string& what) {
    const ProgramResult result = score(more, input);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, Contains(what));
  };
  refused({}, "", "give one of --text, --file and --jsonl");
  refused({"--text", "a", "--file", "b"}, "", "give one of --text, --file and --jsonl");
  refused({"--text", ""}, "", "the text has no tokens (--text)");
  refused({"--file", "-"}, "", "the text has no tokens (stdin)");
  refused({"--file", "-"}, "a\xff", "not UTF-8 from byte 2 on (stdin)");
  refused({"--file", "-"}, std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10), "ends too early (stdin)");
  refused({"--file", "/nowhere/text.txt"}, "", "/nowhere/text.txt");
  refused({"--jsonl", "-"}, "\n\n", "there is no line to score (stdin)");
  const std::string good = json_line({{"text", "the"}});
  refused({"--jsonl", "-"}, good + "{\"text\": \n", "stdin:2");
  refused({"--jsonl", "-"}, good + "[]\n", "the line is not a JSON object (stdin:2)");
  refused({"--jsonl", "-"}, good + "{}\n", "the line has neither a \"text\" nor a \"prompt\" (stdin:2)");
  refused({"--jsonl", "-"}, good + json_line({{"text", ""}}), "the text has no tokens (stdin:2)");
  refused({"--jsonl", "-"}, json_line({{"prompt", "the"}}), "continuations");
  refused({"--jsonl", "-"}, json_line({{"prompt", "the"}, {"continuations", json::array()}}), "is empty");
  refused({"--jsonl", "-"}, json_line({{"prompt", "the"}, {"continuations", {"a", 3}}}), "continuations[1]");
  refused({"--jsonl", "-"}, json_line({{"prompt", "the"}, {"continuations", {"a", ""}}}),
          "continuations[1] adds no token to the prompt");
}
#endif
