// granule eval without some of a model's experts, from outside. tests/moe/routing/ablation_test.cpp compares
// what a layer then computes with plain loops.
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
using Catch::Contains;
using Words = std::vector<std::string>;

namespace {

struct Trained {
  Workshop shop;
  explicit Trained(const Words& keys = {}) {
    Words words{"train.steps=3", "schedule.warmup=0", "checkpoint.every=0", "eval.every=0"};
    words.insert(words.end(), keys.begin(), keys.end());
    const ProgramResult result = shop.train("run", words);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
  }
  [[nodiscard]] ProgramResult run(const Words& more) const {
    Words words{"eval", shop.path("run"), "--data", shop.path("data")};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(words);
  }
  [[nodiscard]] nlohmann::json eval(const Words& more) const {
    const ProgramResult result = run(more);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return nlohmann::json::parse(result.out);
  }
  /// The message, which must be the only answer.
  [[nodiscard]] std::string refusal(const Words& more) const {
    const ProgramResult result = run(more);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    return result.err;
  }
};

/// How many experts each token activated.
std::int64_t activated(const nlohmann::json& report) {
  const auto counts = report["layers"][0]["counts"].get<std::vector<std::int64_t>>();
  const auto routed = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  CHECK(routed % report["tokens"].get<std::int64_t>() == 0);
  return routed / report["tokens"].get<std::int64_t>();
}

const Words kGroups{"moe.n_group=4", "moe.topk_group=2"};
const Words kSigmoid{"moe.n_group=4", "moe.topk_group=2", "moe.scoring_func=sigmoid",
                     "moe.bias_update_speed=0.01", "moe.norm_topk_prob=true"};
const Words kHash{"moe.router=hash", "moe.aux_loss_alpha=0"};
const Words kDense{"moe.n_routed_experts=0", "moe.num_experts_per_tok=0", "moe.n_shared_experts=0",
                   "moe.moe_intermediate_size=0", "moe.first_k_dense_replace=0"};

}  // namespace

TEST_CASE("eval_ablation: every number of activated experts is evaluated that the router can choose") {
  for (const auto& [keys, most] : {std::pair{Words{}, 8}, {kGroups, 4}, {kSigmoid, 4}, {kHash, 8}}) {
    const Trained model(keys);
    CAPTURE(keys);
    for (int k = 1; k <= most; k += k == 1 ? 1 : most / 2) {
      const auto report = model.eval({fmt::format("moe.num_experts_per_tok={}", k)});
      CHECK(activated(report) == k);
      CHECK(report["experts_per_token"] == k);
      CHECK(report["shared_experts"] == 1);
      CHECK(report["masked_experts"] == 0);
    }
    CHECK_THAT(model.refusal({"moe.num_experts_per_tok=0"}), Contains("num_experts_per_tok is missing or 0"));
    const std::string message = model.refusal({fmt::format("moe.num_experts_per_tok={}", most + 1)});
    if (most == 4)
      CHECK_THAT(message, Contains("leave 4 experts to choose from"));
    else
      CHECK_THAT(message, Contains("exceeds moe.n_routed_experts = 8"));
  }
}

TEST_CASE("eval_ablation: a share of experts is masked, and a share of 0 changes no byte of the answer") {
  const Trained model;
  const ProgramResult plain = model.run({});
  CHECK(model.run({"--mask-top-experts", "0"}).out == plain.out);
  CHECK(model.run({"--mask-top-experts", "0/16"}).out == plain.out);
  const ProgramResult one = model.run({"--mask-top-experts", "0.125"});
  const auto report = nlohmann::json::parse(one.out);
  CHECK(report["masked_experts"] == 1);
  CHECK(report["mask_top_experts"] == 0.125);
  CHECK(activated(report) == 2);
  CHECK(report["ce"] != nlohmann::json::parse(plain.out)["ce"]);
  CHECK(model.run({"--mask-top-experts", "1/8"}).out == one.out);
  CHECK_THAT(one.err, !Contains("warning"));
  // The same experts in float64, which rounds otherwise.
  CHECK(model.eval({"--mask-top-experts=1/8", "train.dtype=f64"})["ce"].get<double>() ==
        Approx(report["ce"].get<double>()).epsilon(1e-5));
  // What is masked depends on no other choice: six masked experts leave two, whatever the rest.
  CHECK(model.eval({"--mask-top-experts", "0.75"})["masked_experts"] == 6);
  CHECK(activated(model.eval({"--mask-top-experts", "7/8", "moe.num_experts_per_tok=1"})) == 1);
}

TEST_CASE("eval_ablation: a share that is no whole number of experts is rounded, with a warning") {
  const Trained model;
  const ProgramResult rounded = model.run({"--mask-top-experts", "0.1"});
  CHECK(nlohmann::json::parse(rounded.out)["masked_experts"] == 1);
  CHECK_THAT(rounded.err, Contains("warning") && Contains("0.8 experts: 1 are masked"));
  const ProgramResult none = model.run({"--mask-top-experts", "0.05"});
  CHECK(nlohmann::json::parse(none.out)["masked_experts"] == 0);
  CHECK_THAT(none.err, Contains("0.4 experts: 0 are masked"));
  const ProgramResult third = model.run({"--mask-top-experts", "0.24999"});
  CHECK(nlohmann::json::parse(third.out)["masked_experts"] == 2);
  CHECK_THAT(third.err, !Contains("warning"));
}

TEST_CASE(
    "eval_ablation: without shared experts one routed expert more is activated, unless a number is set") {
  const Trained model;
  const auto plain = model.eval({}), without = model.eval({"--no-shared-experts"});
  CHECK(activated(without) == 3);
  CHECK(without["experts_per_token"] == 3);
  CHECK(without["shared_experts"] == 0);
  CHECK(without["ce"] != plain["ce"]);
  for (const int k : {1, 2, 8}) {
    const auto set = model.eval({"--no-shared-experts", fmt::format("moe.num_experts_per_tok={}", k)});
    CHECK(activated(set) == k);
    CHECK(set["shared_experts"] == 0);
    CHECK(set["ce"] != model.eval({fmt::format("moe.num_experts_per_tok={}", k)})["ce"]);
  }
  const auto both = model.eval({"--no-shared-experts", "--mask-top-experts", "1/2"});
  CHECK(activated(both) == 3);
  CHECK(both["masked_experts"] == 4);
  CHECK(activated(Trained(kHash).eval({"--no-shared-experts"})) == 3);
}

TEST_CASE("eval_ablation: what cannot be masked or left out is refused with the reason") {
  const Trained model;
  for (const char* const share :
       {"1", "-0.1", "1.5", "nan", "inf", "", "x", "1/0", "16/16", "1/-8", "0,1", "1/16x"}) {
    CAPTURE(share);
    CHECK_THAT(model.refusal({std::string("--mask-top-experts=") + share}), Contains("--mask-top-experts"));
  }
  CHECK_THAT(model.refusal({"--mask-top-experts", "7/8"}),
             Contains("masks 7 of the 8 routed experts, which leaves fewer than the 2"));
  CHECK_THAT(model.refusal({"--mask-top-experts", "3/4", "moe.num_experts_per_tok=3"}),
             Contains("fewer than the 3"));
  CHECK_THAT(model.refusal({"--mask-top-experts", "3/4", "--no-shared-experts"}),
             Contains("fewer than the 3"));
  CHECK_THAT(model.refusal({"--no-shared-experts", "moe.num_experts_per_tok=9"}), Contains("exceeds"));

  const Trained groups(kGroups);
  CHECK(groups.eval({"--mask-top-experts", "1/4"})["masked_experts"] == 2);
  CHECK_THAT(groups.refusal({"--mask-top-experts", "3/8"}),
             Contains("masks 3 of the 4 routed experts in moe.topk_group = 2 groups"));

  const Trained hash(kHash);
  CHECK_THAT(hash.refusal({"--mask-top-experts", "1/8"}), Contains("a hash router has no affinities"));

  const Trained dense(kDense);
  for (const Words& option :
       {Words{"--mask-top-experts", "1/8"}, {"--no-shared-experts"}, {"--by-expert", "x"}})
    CHECK_THAT(dense.refusal(option), Contains(option[0] + ": the model is dense"));
  CHECK(dense.eval({})["experts_per_token"] == 0);
  for (const char* const key : {"moe.num_experts_per_tok=2", "moe.norm_topk_prob=true"})
    CHECK_THAT(dense.refusal({key}), Contains("has no effect on a dense model"));

  const Trained full({"moe.num_experts_per_tok=8"});
  CHECK_THAT(full.refusal({"--no-shared-experts"}),
             Contains("set moe.num_experts_per_tok=8 to activate as many as before"));
  const Trained without({"moe.n_shared_experts=0"});
  CHECK_THAT(without.refusal({"--no-shared-experts"}), Contains("the model has no shared experts"));
}

TEST_CASE("eval_ablation: the file of choices agrees with the answer, and lists documents and no pieces") {
  const Trained model;
  const std::string file = model.shop.path("by-expert.json");
  const auto report = model.eval({"--by-expert", file, "--mask-top-experts", "1/8"});
  const auto choices = nlohmann::json::parse(text_of(file));
  CHECK(choices["format"] == "granule-by-expert/1");
  for (const char* const key :
       {"model", "step", "data", "split", "tokens", "experts_per_token", "masked_experts"})
    CHECK(choices[key] == report[key]);
  CHECK(choices["layers"] == nlohmann::json::array({1}));
  CHECK(choices["experts"] == 8);
  CHECK(choices["documents"] == 2);
  std::vector<std::int64_t> loads;
  for (const auto& expert : choices["by_layer"][0]["experts"]) {
    loads.push_back(expert["load"]);
    CHECK(expert["classes"].is_null());  // these data have no tokenizer
    for (const auto& token : expert["tokens"]) CHECK(token["piece"].is_null());
  }
  CHECK(report["layers"][0]["counts"] == loads);
  for (std::size_t e = 0; e < 8; ++e) CHECK(choices["by_layer"][0]["together"][e][e] == loads[e]);
  // What is counted changes nothing that is measured, and does not depend on threads.
  CHECK(report == model.eval({"--mask-top-experts", "1/8"}));
  const std::string text = text_of(file);
  static_cast<void>(model.eval({"--by-expert", file, "--mask-top-experts", "1/8", "train.threads=2"}));
  CHECK(text_of(file) == text);
  CHECK(names_in(model.shop.directory.path()) == Words{"by-expert.json", "data", "run", "run.toml"});
}

TEST_CASE("eval_ablation: a file of choices that cannot be written is refused before the model runs") {
  const Trained model;
  CHECK_THAT(model.refusal({"--by-expert", model.shop.path("no/x.json")}), Contains("no such directory"));
  CHECK_THAT(model.refusal({"--by-expert", model.shop.path("data")}), Contains("not a regular file"));
  CHECK_THAT(model.refusal({"--by-expert", ""}), Contains("--by-expert"));
  CHECK_THAT(model.refusal({"--by-expert", model.shop.path("x"), "--split", "train", "data.seq_len=99"}),
             Contains("exceeds"));
  CHECK(names_in(model.shop.directory.path()) == Words{"data", "run", "run.toml"});
}
