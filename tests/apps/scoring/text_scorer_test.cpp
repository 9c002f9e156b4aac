// Compares the scores of texts with one pass over the text for each token.
#include "apps/scoring/text_scorer.hpp"

#include <algorithm>
#include <cmath>

#include "core/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using granule::test::SmallModel;
using granule::test::values_of;

namespace {

constexpr std::int32_t kStart = 2;

std::vector<std::int32_t> random_tokens(std::int64_t count, std::uint64_t vocab_size,
                                        std::uint64_t seed = 5) {
  const RandomStream random(seed, "text");
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<std::int32_t>(random.below(vocab_size, static_cast<std::uint64_t>(i))));
  return tokens;
}

/// What the model predicts after these tokens, all of which it sees.
std::vector<double> logits_after(SmallModel& small, const std::vector<std::int32_t>& tokens) {
  const auto count = std::ssize(tokens);
  const Pass pass{.context = small.context,
                  .batch = 1,
                  .seq = count,
                  .position_N = make_positions(small.context, 1, count)};
  const LanguageModel& network = small.model.network();
  const Var x = network.embed(pass, test::ids_of(small.context, {count}, tokens));
  const auto all = values_of(network.logits(pass, network.blocks(pass, x)).value);
  return {all.end() - small.model.config().vocab_size, all.end()};
}

TokenScore expected(SmallModel& small, const std::vector<std::int32_t>& seen, std::int32_t token,
                    std::int64_t pieces) {
  const std::vector<double> logits = logits_after(small, seen);
  double sum = 0.0;
  for (const double logit : logits) sum += std::exp(logit);
  const double own = logits[static_cast<std::size_t>(token)];
  bool likeliest = true;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const double other = logits[static_cast<std::size_t>(i)];
    likeliest &= other < own || (other == own && i >= token);
  }
  return {own - std::log(sum), likeliest};
}

void check(const std::vector<TokenScore>& scores, const std::vector<TokenScore>& wanted) {
  REQUIRE(scores.size() == wanted.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    INFO("token " << i);
    CHECK(scores[i].logprob == Approx(wanted[i].logprob).epsilon(1e-12));  // float64 in another order
    CHECK(scores[i].likeliest == wanted[i].likeliest);
  }
}

}  // namespace

TEST_CASE("text_scorer: each token is scored given the start and all tokens before it") {
  SmallModel small(DType::f64);
  const std::int64_t pieces = small.model.config().vocab_size - 3;
  std::vector<std::int32_t> tokens = random_tokens(9, static_cast<std::uint64_t>(pieces));
  // Some tokens are those that greedy decoding takes, so that both answers occur.
  const std::vector<double> logits = logits_after(small, {kStart});
  tokens[0] = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end() - 3) - logits.begin());
  for (const bool seen_once : {false, true}) {
    std::vector<TokenScore> wanted;
    std::vector<std::int32_t> seen{kStart};
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      wanted.push_back(expected(small, seen, tokens[i], pieces));
      if (seen_once && i == 0) seen.clear();
      seen.push_back(tokens[i]);
    }
    CHECK(wanted[0].likeliest);
    TextScorer scorer(small.context, small.model, {kStart, seen_once}, pieces, std::ssize(tokens));
    check(scorer.score(tokens), wanted);
    check(scorer.score(tokens, 4), {wanted.begin() + 4, wanted.end()});
    check(scorer.score(tokens, 8), {wanted.begin() + 8, wanted.end()});
    check(scorer.score(std::span(tokens).first(1)), {wanted[0]});
  }
}

TEST_CASE(
    "text_scorer: a text beyond the model's positions is read in windows, each token sees half of them") {
  ModelConfig config = test::small_model_config();
  config.max_position_embeddings = 7;
  SmallModel small(DType::f64, 1, config);
  const auto vocab = static_cast<std::uint64_t>(config.vocab_size);
  for (const std::int64_t length : {6, 7, 8, 11, 12, 30}) {
    const std::vector<std::int32_t> tokens = random_tokens(length, vocab);
    std::vector<std::int32_t> sequence{kStart};
    sequence.insert(sequence.end(), tokens.begin(), tokens.end());
    std::vector<TokenScore> wanted;
    std::size_t begin = 0;
    for (std::size_t i = 1; i < sequence.size(); ++i) {
      if (i - begin > 7) begin = i - 4;  // half of 7, rounded up
      wanted.push_back(expected(small,
                                {sequence.begin() + static_cast<std::ptrdiff_t>(begin),
                                 sequence.begin() + static_cast<std::ptrdiff_t>(i)},
                                sequence[i], config.vocab_size));
    }
    TextScorer scorer(small.context, small.model, {kStart}, config.vocab_size, length);
    INFO("length " << length);
    check(scorer.score(tokens), wanted);
    // After a prompt, as much of it is seen as fits, and at least half a window.
    for (const std::size_t prompt : {std::size_t{5}, static_cast<std::size_t>(length) - 1}) {
      std::vector<TokenScore> continued;
      const auto rows = static_cast<std::size_t>(length);
      begin = rows > 7 ? std::min(rows - 7, prompt + 1 - 4) : 0;
      for (std::size_t i = prompt + 1; i < sequence.size(); ++i) {
        if (i - begin > 7) begin = i - 4;
        continued.push_back(expected(small,
                                     {sequence.begin() + static_cast<std::ptrdiff_t>(begin),
                                      sequence.begin() + static_cast<std::ptrdiff_t>(i)},
                                     sequence[i], config.vocab_size));
      }
      check(scorer.score(tokens, prompt), continued);
    }
  }
}

TEST_CASE("text_scorer: what was scored before changes no score") {
  SmallModel small(DType::f64);
  const auto vocab = static_cast<std::uint64_t>(small.model.config().vocab_size);
  const std::vector<std::int32_t> prompt = random_tokens(6, vocab), other = random_tokens(10, vocab, 8);
  TextScorer used(small.context, small.model, {kStart}, small.model.config().vocab_size, 12);
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    std::vector<std::int32_t> tokens = prompt;
    for (const std::int32_t token : random_tokens(4, vocab, seed)) tokens.push_back(token);
    TextScorer fresh(small.context, small.model, {kStart}, small.model.config().vocab_size, 12);
    check(used.score(tokens, prompt.size()), fresh.score(tokens, prompt.size()));
    check(used.score(tokens), fresh.score(tokens));
    check(used.score(other, 2), fresh.score(other, 2));
  }
}
