// Runs of every kind of router through the program, which are resumed, exported and read back.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
namespace fs = std::filesystem;

namespace {

struct RouterRun {
  std::string name;
  std::vector<std::string> keys;
  std::string model_type;  // of the run's export
};

std::vector<RouterRun> router_runs() {
  return {{"sigmoid, groups, bias",
           {"moe.scoring_func=sigmoid", "moe.n_group=4", "moe.topk_group=2", "moe.norm_topk_prob=true",
            "moe.routed_scaling_factor=2.5", "moe.bias_update_speed=0.01"},
           "granule"},
          {"softmax, bias", {"moe.bias_update_speed=0.01", "moe.aux_loss_alpha=0"}, "granule"},
          {"hash", {"moe.router=hash", "train.seed=3"}, "granule"},
          {"every loss, capacity",
           {"moe.device_groups=4", "moe.device_loss_alpha=0.05", "moe.z_loss_alpha=0.001",
            "moe.capacity_factor=0.75"},
           "deepseek"}};
}

nlohmann::json json_of(const ProgramResult& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return nlohmann::json::parse(result.out);
}

}  // namespace

TEST_CASE("what only a router with scores has is null without one") {
  const Workshop shop;
  const std::vector<std::string> of_scores{"aux", "device_aux", "z", "router_entropy", "balance_over_ce"};
  for (const std::string kind : {"moe.router=topk", "moe.router=hash", "moe.n_routed_experts=0"}) {
    CAPTURE(kind);
    const ProgramResult trained = shop.train(kind.c_str(), {kind, "train.steps=2", "eval.every=0"});
    INFO(trained.err);
    REQUIRE(trained.exit_code == 0);
    const bool scored = kind == "moe.router=topk", dense = kind == "moe.n_routed_experts=0";
    const nlohmann::json row = shop.metrics(kind.c_str()).back();
    for (const std::string& key : of_scores) {
      CAPTURE(key);
      CHECK(row.at(key).is_number() == scored);
      CHECK(row.at(key).is_null() == !scored);
      CHECK(row.at(key + "_by_layer").size() == (dense ? 0 : 1));
      if (!dense) CHECK(row.at(key + "_by_layer")[0].is_number() == scored);
    }
    CHECK(row.at("load_cv").is_number());
    CHECK((trained.err.find("  aux ") != std::string::npos) == scored);
    CHECK((trained.err.find("  load cv ") != std::string::npos) == !dense);
    const auto eval = json_of(run_program({"eval", shop.path(kind.c_str()), "--data", shop.path("data")}));
    CHECK(eval.at("aux").is_number() == scored);
  }
}

TEST_CASE("a device-level loss without strength is measured and changes nothing") {
  const Workshop shop;
  REQUIRE(shop.train("plain", {"train.steps=4"}).exit_code == 0);
  REQUIRE(shop.train("measured", {"train.steps=4", "moe.device_groups=4"}).exit_code == 0);
  CHECK(shop.tensors("measured", 4) == shop.tensors("plain", 4));
  CHECK(shop.metrics("measured")[0]["device_aux"].get<double>() > 0.0);
  CHECK(shop.metrics("plain")[0]["device_aux"] == 0.0);
}

TEST_CASE("every kind of router resumes bit for bit, and its export is the same model") {
  for (const RouterRun& run : router_runs()) {
    DYNAMIC_SECTION(run.name) {
      const Workshop shop;
      REQUIRE(shop.train("straight", run.keys).exit_code == 0);
      fs::copy(shop.directory / "straight", shop.directory / "halves", fs::copy_options::recursive);
      fs::remove_all(shop.directory / "halves/checkpoints/step-00000040");
      auto again = run.keys;
      again.insert(again.end(), {"--resume", "train.recompute=full", "train.threads=2"});
      REQUIRE(shop.train("halves", again).exit_code == 0);
      CHECK(shop.tensors("halves", 40) == shop.tensors("straight", 40));
      CHECK(shop.metrics("halves") == shop.metrics("straight"));

      REQUIRE(run_program({"export", shop.path("straight"), "--format", "hf", "--out", shop.path("hf"),
                           "--dtype", "f32"})
                  .exit_code == 0);
      const auto config = nlohmann::json::parse(std::ifstream(shop.directory / "hf/config.json"));
      CHECK(config["model_type"] == run.model_type);
      const std::vector<std::string> data{"--data", shop.path("data"), "data.seq_len=16",
                                          "train.micro_batch_size=2"};
      std::vector<std::string> of_run{"eval", shop.path("straight")}, of_export{"eval", shop.path("hf")};
      of_run.insert(of_run.end(), data.begin(), data.end());
      of_export.insert(of_export.end(), data.begin(), data.end());
      const auto a = json_of(run_program(of_run)), b = json_of(run_program(of_export));
      CHECK(a["ce"] == b["ce"]);
      CHECK(a["layers"] == b["layers"]);
    }
  }
}

namespace {

int sum_of(const nlohmann::json& values) {
  const auto numbers = values.get<std::vector<int>>();
  return std::accumulate(numbers.begin(), numbers.end(), 0);
}

}  // namespace

TEST_CASE("a capacity drops in training and where an evaluation asks, and is told by layer") {
  const Workshop shop;
  REQUIRE(shop.train("run", {"moe.capacity_factor=0.5"}).exit_code == 0);
  for (const auto& row : shop.metrics("run")) {
    CHECK(row["dropped"].get<int>() > 0);
    CHECK(row["dropped"] == row["dropped_by_layer"][0]);
    CHECK(row["dropped"] == sum_of(row["dropped_by_expert_by_layer"][0]));
  }
  const auto dropped = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"eval", shop.path("run"), "--data", shop.path("data")};
    words.insert(words.end(), more.begin(), more.end());
    const auto layer = json_of(run_program(words))["layers"][0];
    CHECK(layer["dropped"] == sum_of(layer["dropped_by_expert"]));
    return layer["dropped"].get<int>();
  };
  CHECK(dropped({}) == 0);
  CHECK(dropped({"moe.capacity_factor=0.5"}) > 0);
}

TEST_CASE("a selection bias stays in float32, whatever the run and the export") {
  const Workshop shop;
  REQUIRE(shop.train("run", {"moe.bias_update_speed=0.001", "train.dtype=f64"}).exit_code == 0);
  REQUIRE(
      run_program({"export", shop.path("run"), "--format", "hf", "--out", shop.path("hf"), "--dtype", "bf16"})
          .exit_code == 0);
  for (const fs::path& folder : {shop.checkpoint("run", 40), shop.directory / "hf"}) {
    bool seen = false;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() != ".safetensors") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::uint64_t size = 0;
      file.read(reinterpret_cast<char*>(&size), sizeof size);
      std::string header(size, '\0');
      file.read(header.data(), static_cast<std::streamsize>(size));
      const auto tensors = nlohmann::json::parse(header);
      const auto bias = tensors.find("model.layers.1.mlp.gate.e_score_correction_bias");
      if (bias == tensors.end()) continue;
      CHECK((*bias)["dtype"] == "F32");
      seen = true;
    }
    INFO(folder.string());
    CHECK(seen);
  }
}

TEST_CASE("of equal sequences an expert's capacity drops the later ones, whole tokens and no others") {
  // Sequences of one word that is always the same. All five tokens ask for the same two experts. These take
  // four tokens, or one.
  const Workshop shop(std::vector<std::int32_t>(11, 3));
  const auto ce = [&](const std::string& dtype, int seed, const std::string& capacity) {
    const std::string out = fmt::format("{}-{}-{}", dtype, seed, capacity);
    const ProgramResult result = shop.train(
        out.c_str(), {"data.seq_len=1", "model.num_hidden_layers=1", "model.hidden_size=8",
                      "model.initializer_range=0.5", "moe.first_k_dense_replace=0", "moe.n_routed_experts=3",
                      "moe.n_shared_experts=0", "train.batch_size=5", "train.micro_batch_size=5",
                      "train.steps=1", "eval.every=0", "checkpoint.every=0", "train.dtype=" + dtype,
                      "moe.capacity_factor=" + capacity, fmt::format("train.seed={}", seed)});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return shop.metrics(out.c_str())[0]["ce"].get<double>();
  };
  for (const std::string dtype : {"f32", "f64"}) {
    for (int seed = 0; seed < 2; ++seed) {
      const double all = ce(dtype, seed, "0"), one = ce(dtype, seed, "0.1");
      INFO(fmt::format("{}, seed {}: {} and {}", dtype, seed, all, one));
      CHECK(std::abs(all - one) > 1e-3);
      // Four of five tokens are as without a capacity. The fifth is like the four that a capacity of one
      // refuses. In f32, an expert's only row may be rounded differently than the same row among others.
      CHECK(ce(dtype, seed, "1") == Approx((3 * all + one) / 4).epsilon(dtype == "f32" ? 1e-7 : 1e-14));
    }
  }
}
