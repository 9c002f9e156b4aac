#include "moe/model/counts.hpp"

#include "core/error.hpp"
#include "tests/support/catch.hpp"

using granule::count_parameters;
using granule::ModelConfig;
using granule::MoeConfig;
using granule::ParameterCounts;
using granule::training_flops;

namespace {

ModelConfig model_16b() {
  ModelConfig model;
  model.vocab_size = 102400;
  model.hidden_size = 2048;
  model.num_hidden_layers = 28;
  model.num_attention_heads = 16;
  model.intermediate_size = 10944;
  return model;
}

MoeConfig moe_16b() {
  MoeConfig moe;
  moe.n_routed_experts = 64;
  moe.num_experts_per_tok = 6;
  moe.n_shared_experts = 2;
  moe.moe_intermediate_size = 1408;
  moe.first_k_dense_replace = 1;
  return moe;
}

}  // namespace

TEST_CASE("counts: DeepSeekMoE 16B has the published number of parameters") {
  const ParameterCounts counts = count_parameters(model_16b(), moe_16b());
  CHECK(counts.total() == 16'375'728'128);
  CHECK(counts.activated() == 2'828'650'496);
}

TEST_CASE("counts: a sequence of 4096 tokens costs DeepSeekMoE 16B 75.9 TFLOP, in the paper's counting") {
  const double flops = training_flops(model_16b(), moe_16b(), 4096, 4096);
  CHECK(flops / 1e12 == Approx(75.9).margin(0.05));  // the paper gives three digits
}

TEST_CASE("counts: the paper's 2B models cost what its table 1 says") {
  // 9 layers of 1280, a vocabulary of 8K, and 2048 tokens. Every feed-forward is an MoE layer. The paper says
  // 2.9 T for the dense model and 4.3 T for DeepSeekMoE.
  ModelConfig model;
  model.vocab_size = 8192;
  model.hidden_size = 1280;
  model.num_hidden_layers = 9;
  model.num_attention_heads = 10;
  model.intermediate_size = 3413;
  CHECK(training_flops(model, MoeConfig{}, 2048, 2048) / 1e12 == Approx(2.9).margin(0.05));
  MoeConfig moe;
  moe.n_routed_experts = 63;
  moe.num_experts_per_tok = 7;
  moe.n_shared_experts = 1;
  moe.moe_intermediate_size = 853;
  CHECK(training_flops(model, moe, 2048, 2048) / 1e12 == Approx(4.3).margin(0.05));
}

TEST_CASE("counts: every kind of parameter is counted by hand in a small model") {
  // hidden 8, 3 layers, 4 heads of 2, 2 key-value heads (4 wide), vocabulary 10. Layer 0 is dense with width
  // 6. Layers 1 and 2 have 5 experts top-2 of width 3, and 2 shared ones.
  ModelConfig model;
  model.vocab_size = 10;
  model.hidden_size = 8;
  model.num_hidden_layers = 3;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  model.intermediate_size = 6;
  model.attention_bias = true;
  MoeConfig moe;
  moe.n_routed_experts = 5;
  moe.num_experts_per_tok = 2;
  moe.n_shared_experts = 2;
  moe.moe_intermediate_size = 3;
  moe.first_k_dense_replace = 1;
  const ParameterCounts counts = count_parameters(model, moe);
  CHECK(counts.embedding == 80);
  CHECK(counts.head == 80);
  CHECK(counts.attention == 3 * (64 + 32 + 32 + 64 + 8 + 4 + 4 + 8));
  CHECK(counts.norms == 3 * 16 + 8);
  CHECK(counts.dense_ffn == 3 * 48);
  CHECK(counts.router == 2 * 40);
  CHECK(counts.shared_experts == 2 * 3 * 8 * 6);
  CHECK(counts.routed_experts == 2 * 5 * 3 * 24);
  CHECK(counts.routed_activated == 2 * 2 * 3 * 24);
  model.tie_word_embeddings = true;
  CHECK(count_parameters(model, moe).total() == counts.total() - 80);
  CHECK(training_flops(model, moe, 7, 7) ==  // the tied head is a product, too
        6.0 * 7 * (80 + 3 * 192 + 144 + 80 + 288 + 288) + 12.0 * 3 * 7 * 7 * 8);
  moe.moe_layer_freq = 2;  // only layer 2
  CHECK(count_parameters(model, moe).router == 40);
  CHECK(count_parameters(model, moe).dense_ffn == 2 * 3 * 48);
}

TEST_CASE("counts: a dense model activates all of its parameters") {
  const ParameterCounts counts = count_parameters(model_16b(), MoeConfig{});
  CHECK(counts.activated() == counts.total());
  CHECK(counts.dense_ffn == 28LL * 3 * 2048 * 10944);
}

TEST_CASE("counts: a model too large to count is the user's error, not an overflow") {
  MoeConfig moe = moe_16b();
  moe.n_routed_experts = 65535;
  moe.moe_intermediate_size = 1 << 20;
  ModelConfig model = model_16b();
  model.hidden_size = 1 << 20;
  CHECK_THROWS_WITH(count_parameters(model, moe), Catch::Contains("2^53"));
}

TEST_CASE("counts: utilisation is work over time over peak") {
  CHECK(granule::model_flops_utilisation(3e12, 2.0, 6e12) == 0.25);
  CHECK_THROWS_AS(granule::model_flops_utilisation(1.0, 0.0, 1.0), granule::Error);
}
