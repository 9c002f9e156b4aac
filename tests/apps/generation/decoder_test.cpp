// Compares decoding with a key-value cache with running the whole sequence again for every token.
#include "apps/generation/decoder.hpp"

#include <algorithm>

#include "core/kernels/fill.hpp"
#include "core/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using granule::test::relative_difference;
using granule::test::SmallModel;
using granule::test::values_of;

namespace {

std::vector<std::int32_t> random_tokens(std::int64_t count, std::int64_t vocab_size) {
  const RandomStream random(5, "prompt");
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<std::int32_t>(
        random.below(static_cast<std::uint64_t>(vocab_size), static_cast<std::uint64_t>(i))));
  }
  return tokens;
}

/// Logits after the last token, from one pass over all tokens and without a cache.
std::vector<double> logits_without_cache(SmallModel& small, const std::vector<std::int32_t>& tokens,
                                         std::int64_t rope_length = 0) {
  const auto count = std::ssize(tokens);
  const Pass pass{.context = small.context,
                  .batch = 1,
                  .seq = count,
                  .position_N = make_positions(small.context, 1, count),
                  .rope_length = rope_length};
  const LanguageModel& network = small.model.network();
  const Var x = network.embed(pass, test::ids_of(small.context, {count}, tokens));
  const auto all = values_of(network.logits(pass, network.blocks(pass, x)).value);
  return {all.end() - small.model.config().vocab_size, all.end()};
}

std::int32_t best(const std::vector<double>& logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Variant {
  const char* name;
  ModelConfig model = test::small_model_config();
  MoeConfig moe = test::small_moe_config();
};

std::vector<Variant> variants() {
  std::vector<Variant> all(5);
  all[0].name = "grouped queries, experts";
  all[1].name = "one head a query, biases, a tied head, experts every second layer";
  all[1].model.num_key_value_heads = 4;
  all[1].model.attention_bias = true;
  all[1].model.tie_word_embeddings = true;
  all[1].moe.moe_layer_freq = 2;
  all[1].moe.norm_topk_prob = true;
  all[2].name = "one key-value head, no experts";
  all[2].model.num_key_value_heads = 1;
  all[2].moe = {};
  all[3].name = "no shared experts";
  all[3].moe.n_shared_experts = 0;
  all[4].name = "linear rope scaling";
  all[4].model.max_position_embeddings = 20;
  all[4].model.rope_scaling = {RopeScaling::Type::linear, 1.5};
  return all;
}

}  // namespace

TEST_CASE("generation: with the cache and without, greedy tokens are the same and logits agree") {
  for (const Variant& variant : variants()) {
    INFO(variant.name);
    SmallModel small(DType::f64, 1, variant.model, variant.moe);
    Decoder decoder(small.context, small.model, variant.model.positions());
    std::vector<std::int32_t> tokens = random_tokens(7, variant.model.vocab_size), next = tokens;
    while (std::ssize(tokens) < variant.model.positions()) {
      const auto cached = decoder.feed(next);
      const auto whole = logits_without_cache(small, tokens);
      REQUIRE(relative_difference(cached, whole) <= 1e-10);  // the same sums, in another order
      REQUIRE(best(cached) == best(whole));
      next = {best(cached)};
      tokens.push_back(next[0]);
      REQUIRE(decoder.length() == std::ssize(tokens) - 1);
    }
  }
}

TEST_CASE("generation: in bf16 the logits with the cache are those without it, up to roundings") {
  for (const Variant& variant : variants()) {
    INFO(variant.name);
    SmallModel small(DType::bf16, 1, variant.model, variant.moe);
    Decoder decoder(small.context, small.model, variant.model.positions());
    const std::vector<std::int32_t> tokens =
        random_tokens(variant.model.positions(), variant.model.vocab_size);
    for (std::size_t length = 7; length <= tokens.size(); ++length) {
      const std::vector<std::int32_t> all(tokens.begin(), tokens.begin() + std::ptrdiff_t(length));
      const auto cached = decoder.feed(length == 7 ? all : std::vector{all.back()});
      // A sum in another order may round to the next number of bf16, 2^-8 away, in every layer. Here that
      // moved logits by up to 0.036 of the largest.
      REQUIRE(relative_difference(cached, logits_without_cache(small, all)) <= 0.1);
    }
  }
}

TEST_CASE(
    "generation: under dynamic rope scaling, the cache has one theta: that of the next multiple of the usual "
    "length") {
  ModelConfig config = test::small_model_config();
  config.max_position_embeddings = 10;
  config.rope_scaling = {RopeScaling::Type::dynamic, 3.5};
  SmallModel small(DType::f64, 1, config);
  for (const std::int64_t prompt : {4, 10, 11, 27}) {
    CAPTURE(prompt);
    Decoder decoder(small.context, small.model, 35);
    std::vector<std::int32_t> tokens = random_tokens(prompt, config.vocab_size), next = tokens;
    while (std::ssize(tokens) < 35) {
      const auto cached = decoder.feed(next);
      const std::int64_t length = std::min<std::int64_t>((std::ssize(tokens) + 9) / 10 * 10, 35);
      CAPTURE(length);
      REQUIRE(relative_difference(cached, logits_without_cache(small, tokens, length)) <= 1e-10);
      REQUIRE(decoder.length() == std::ssize(tokens));
      next = {best(cached)};
      tokens.push_back(next[0]);
    }
  }
}

TEST_CASE("generation: a prompt longer than one piece gives the same logits as in one pass") {
  ModelConfig config = test::small_model_config();
  config.max_position_embeddings = 300;
  SmallModel small(DType::f64, 2, config);
  for (const std::int64_t count : {1, 127, 128, 129, 300}) {
    CAPTURE(count);
    const auto tokens = random_tokens(count, config.vocab_size);
    Decoder decoder(small.context, small.model, 300);
    CHECK(relative_difference(decoder.feed(tokens), logits_without_cache(small, tokens)) <= 1e-10);
  }
}

TEST_CASE("generation: a model whose logits overflow is refused") {
  SmallModel small(DType::f32);
  ParameterStore& parameters = small.model.parameters();
  fill(parameters.value_of(parameters.find("lm_head.weight")), 3e38);
  Decoder decoder(small.context, small.model, 4);
  CHECK_THROWS_WITH(decoder.feed(std::vector{1, 2}), Catch::Contains("the logits are not finite"));
}

TEST_CASE("generation: a decoder refuses more tokens than it has room for") {
  SmallModel small(DType::f32);
  Decoder decoder(small.context, small.model, 4);
  static_cast<void>(decoder.feed(random_tokens(3, 61)));
  CHECK_THROWS_WITH(decoder.feed(random_tokens(2, 61)), Catch::Contains("2 tokens after 3"));
  CHECK_THROWS_WITH(decoder.feed({}), Catch::Contains("decoder"));
  CHECK_THROWS_WITH(Decoder(small.context, small.model, 33), Catch::Contains("33 tokens"));
}
