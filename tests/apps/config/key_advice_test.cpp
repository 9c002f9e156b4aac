#include "apps/config/key_advice.hpp"

#include "tests/support/catch.hpp"

using Catch::Contains;
using granule::advice_for_key;
using granule::near_word;

TEST_CASE(
    "key_advice: other programs' names for a key lead to the key, in whatever table they were written") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"optim.learning_rate", "optim.lr"},
      {"train.max_steps", "train.steps"},
      {"moe.top_k", "moe.num_experts_per_tok"},
      {"moe.moe_top_k", "moe.num_experts_per_tok"},
      {"moe.num_experts", "moe.n_routed_experts"},
      {"moe.num_local_experts", "moe.n_routed_experts"},
      {"train.batch", "train.batch_size"},
      {"train.seq_length", "data.seq_len"},
      {"model.d_model", "model.hidden_size"},
      {"model.hidden_dim", "model.hidden_size"},
      {"model.n_layer", "model.num_hidden_layers"},
      {"train.max_grad_norm", "optim.grad_clip"},
      {"train.warmup_steps", "schedule.warmup"},
      {"checkpoint.save_every", "checkpoint.every"},
      {"train.learning-rate", "optim.lr"},
      {"moe.load_balance", "moe.aux_loss_alpha"},
      {"moe.expert_size", "moe.moe_intermediate_size"},
      {"eval.interval", "eval.every"},
      {"data.train", "data.path"}};
  for (const auto& [written, meant] : rows) {
    INFO(written);
    CHECK(advice_for_key(written) == "did you mean '" + meant + "'?");
  }
  CHECK_THAT(advice_for_key("seed"), Contains("'data.seed' or 'train.seed'"));
  for (const char* const name : {"model.dropout", "model.hidden_dropout_prob", "model.resid_pdrop"})
    CHECK_THAT(advice_for_key(name), Contains("models are trained without dropout"));
  CHECK_THAT(advice_for_key("log.wandb"), Contains("TensorBoard"));
  CHECK_THAT(advice_for_key("data.val_path"), Contains("--val-fraction"));
  CHECK_THAT(advice_for_key("checkpoint.dir"), Contains("--out"));
  CHECK_THAT(advice_for_key("train.gradient_accumulation_steps"), Contains("train.micro_batch_size"));
}

TEST_CASE("key_advice: only a near word is suggested, and else the keys that there are") {
  CHECK(advice_for_key("optim.betsa") == "did you mean 'optim.betas'?");
  CHECK(advice_for_key("trian.steps") == "did you mean 'train.steps'?");
  CHECK_THAT(advice_for_key("optim.wobble"),
             !Contains("did you mean") && Contains("the keys of [optim] are name, lr"));
  CHECK_THAT(advice_for_key("nothing.wobble"), !Contains("did you mean") && Contains("model, moe, data"));
  CHECK(near_word("--outt", {"--out", "--resume"}, 4) == "--out");
  CHECK(near_word("--verbose", {"--version", "--help"}, 7).empty());
  CHECK(near_word("xyz", {}, 3).empty());
}
