#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested model
// granule inspect from outside.
#include <algorithm>
#include <numeric>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

nlohmann::json inspect(const fs::path& model) {
  const auto result = run_program({"inspect", model});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return nlohmann::json::parse(result.out);
}

}  // namespace

TEST_CASE("inspect_command: inspect counts parameters and lists every tensor of a run") {
  const auto report = inspect(small_run().run);
  CHECK(report["kind"] == "checkpoint");
  CHECK(report["step"] == 20);
  CHECK(report["tokens"] == 20 * 8 * 32);
  CHECK(report["tokenizer"] == "tokenizer.model");
  CHECK(report["config"]["moe"]["n_routed_experts"] == 8);
  CHECK(report["config"]["optim"]["lr"] == 0.01);
  const auto& parameters = report["parameters"];
  CHECK(parameters["embedding"] == 350 * 32);
  CHECK(parameters["head"] == 350 * 32);
  // In each layer, q and o are 32 × 32, and k and v are 16 × 32 (2 of 4 heads). Biases have 32 + 16 + 16
  // + 32.
  CHECK(parameters["attention"] == 3 * (2 * 32 * 32 + 2 * 16 * 32 + 96));
  CHECK(parameters["dense_ffn"] == 3 * 48 * 32);
  CHECK(parameters["router"] == 2 * 8 * 32);
  CHECK(parameters["routed_experts"] == 2 * 8 * 3 * 12 * 32);
  CHECK(parameters["routed_activated"] == 2 * 3 * 3 * 12 * 32);
  CHECK(parameters["shared_experts"] == 2 * 3 * 12 * 32);
  CHECK(parameters["norms"] == 7 * 32);
  std::int64_t elements = 0;
  for (const auto& tensor : report["tensors"]) {
    CHECK(tensor["dtype"] == "f32");
    std::int64_t size = 1;
    for (const std::int64_t extent : tensor["shape"]) size *= extent;
    elements += size;
  }
  CHECK(parameters["total"] == elements);
  CHECK(parameters["activated"] == elements - 2 * 5 * 3 * 12 * 32);
  const nlohmann::json router{
      {"name", "model.layers.1.mlp.gate.weight"}, {"shape", {8, 32}}, {"dtype", "f32"}};
  CHECK(std::count(report["tensors"].begin(), report["tensors"].end(), router) == 1);
}

TEST_CASE("inspect_command: inspect shows a table for people, a line for each kind of parameter") {
  const auto result = run_program({"inspect", small_run().run});
  for (const char* const row : {"embedding", "attention", "dense feed-forward", "router", "routed experts",
                                "shared experts", "norms", "head", "step 20, 5,120 tokens"}) {
    CHECK_THAT(result.err, Contains(row));
  }
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') < 20);
}

TEST_CASE("inspect_command: inspect shows a Hugging Face directory with the types of its tensors") {
  const TempDir temp;
  REQUIRE(run_program({"export", small_run().run, "--format", "hf", "--dtype", "bf16", "--out", temp / "hf"})
              .exit_code == 0);
  const auto report = inspect(temp / "hf");
  CHECK(report["kind"] == "huggingface");
  CHECK(report["step"].is_null());
  CHECK(report["tokens"].is_null());
  CHECK(report["config"].size() == 2);
  CHECK(report["config"]["model"]["hidden_size"] == 32);
  CHECK(report["parameters"] == inspect(small_run().run)["parameters"]);
  for (const auto& tensor : report["tensors"]) CHECK(tensor["dtype"] == "bf16");
}
#endif
