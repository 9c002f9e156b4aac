// Commands whose ranks each have an emulated CUDA device (tests/cuda_emulation) and send tensors by its NCCL.
#include <filesystem>

#include "tests/support/emulated_runs.hpp"
#include "tests/support/faulty_run.hpp"

#ifdef GRANULE_EMULATED_NCCL

using namespace granule::test;
using nlohmann::json;

namespace {

constexpr int kSteps = 6;  // of train_words()

/// What a run has computed: its metrics, and the weights and moments at its end.
struct Result {
  std::vector<json> metrics;
  std::string tensors;
  friend bool operator==(const Result&, const Result&) = default;
};

Result result_of(const Workshop& shop, const char* out) {
  return {shop.metrics(out), shop.tensors(out, kSteps)};
}

/// Each rank has one micro-batch. Stages differ in when they add several.
Result trained(const Workshop& shop, int ranks, const char* plugin, const Words& keys) {
  static int runs = 0;
  const std::string out = fmt::format("run-{}", ++runs);
  const Words size{fmt::format("train.micro_batch_size={}", 4 / ranks),
                   fmt::format("checkpoint.every={}", kSteps)};
  const std::string log = train_on(ranks, shop, out.c_str(), kOnCuda + keys + size, with(plugin));
  const bool by_host = std::string(plugin) == GRANULE_WITHOUT_NCCL;
  CHECK_THAT(log, Catch::Contains(by_host ? ", tensors through memory of the host" : ", tensors by NCCL"));
  return result_of(shop, out.c_str());
}

Words layout(int zero, int ep, bool deterministic) {
  return {fmt::format("parallel.zero={}", zero), fmt::format("parallel.ep={}", ep),
          fmt::format("parallel.deterministic={}", deterministic)};
}

}  // namespace

TEST_CASE("emulated CUDA ranks: with their sums in rank order, ZeRO 0 to 3 equal the way through the host") {
  const Workshop shop;
  const Result by_host = trained(shop, 2, GRANULE_WITHOUT_NCCL, layout(0, 2, false));
  for (const int zero : {0, 1, 2, 3}) {
    CAPTURE(zero);
    CHECK(trained(shop, 2, GRANULE_CUDA_EMULATED, layout(zero, 2, true)) == by_host);
  }
}

TEST_CASE("emulated CUDA ranks: NCCL adds as it likes, so stages equal each other only in rank order") {
  const Workshop shop;
  const Result in_order = trained(shop, 4, GRANULE_CUDA_EMULATED, layout(0, 2, true));
  CHECK(trained(shop, 4, GRANULE_CUDA_EMULATED, layout(3, 2, true)).metrics == in_order.metrics);
  CHECK(trained(shop, 4, GRANULE_CUDA_EMULATED, layout(0, 2, false)).metrics != in_order.metrics);
}

TEST_CASE("CUDA ranks: experts and ZeRO parts on two GPUs are as close to the CPU's as roundings allow") {
  const Workshop shop;
  // In f64 every choice is the same. Six steps of AdamW made of roundings of 1e-16 at most 5e-15.
  const Words wide{"train.dtype=f64", "train.micro_batch_size=1", "parallel.zero=3", "parallel.ep=2"};
  train_on(2, shop, "cpu", wide, {});
  train_on(2, shop, "cuda", wide + kOnCuda, with(device_plugin(GRANULE_CUDA_EMULATED)));
  require_close_runs(shop, 1e-12);
}

TEST_CASE("CUDA ranks: a resumed run on two GPUs goes on bit for bit") {
  const Workshop shop;
  const Words keys = Words{"train.dtype=bf16", "train.micro_batch_size=1", "checkpoint.every=3"} +
                     layout(3, 2, true) + kOnCuda;
  const ProgramOptions options = with(device_plugin(GRANULE_CUDA_EMULATED));
  train_on(2, shop, "run", keys, options);
  const Result whole = result_of(shop, "run");
  std::filesystem::remove_all(shop.checkpoint("run", kSteps));
  train_on(2, shop, "run", keys + Words{"--resume"}, options);
  CHECK(result_of(shop, "run") == whole);
}

TEST_CASE("CUDA ranks: verify certifies every layout of two GPUs") {
  const Workshop shop;
  const Words words{program_path(), "verify", shop.path("run.toml"), "train.dtype=f64",
                    "train.micro_batch_size=1"};
  const ProgramResult result = under_mpirun(2, words + kOnCuda, with(device_plugin(GRANULE_CUDA_EMULATED)));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(json::parse(result.out)["layouts"].size() == 8);
}

TEST_CASE("emulated CUDA ranks: each rank of a host has a GPU of its own, or the job ends with 2") {
  const Workshop shop;
  ProgramOptions few = with(GRANULE_CUDA_EMULATED);
  few.environment["GRANULE_EMULATED_DEVICES"] = "1";
  const ProgramResult result =
      under_mpirun(2, Words{program_path()} + train_words(shop, "few", kOnCuda), few);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Catch::Contains("rank 1: this is rank 1 of its host (from 0), which has 1 GPU "
                                         "(train.device = \"cuda\"): start at most as many ranks"));
  CHECK_FALSE(std::filesystem::exists(shop.path("few")));
}

TEST_CASE("emulated CUDA ranks: one that is out of step ends the job with 76, and one that hangs with 75") {
  const Workshop shop;
  for (const std::string fault : {"skip rank=1 step=3 at=gradients", "repeat rank=0 step=3 at=expert_rows",
                                  "stop rank=1 step=3 at=values", "kill rank=1 step=3 at=expert_rows"}) {
    const std::string kind = fault.substr(0, fault.find(' '));
    const Ending ending = end_of_faulty(
        shop, kind.c_str(),
        {.fault = fault,
         .more = kOnCuda + Words{"parallel.ep=2", "parallel.zero=3", "train.micro_batch_size=1",
                                 "parallel.watchdog_seconds=2", "train.steps=6", "eval.every=0"},
         .environment = {{"GRANULE_CUDA_PLUGIN", GRANULE_CUDA_EMULATED},
                         {"GRANULE_EMULATED_NCCL", "compare-nothing"}}});
    const Expected expected = expected_end(kind, 1);
    INFO(fault << " took " << ending.seconds << " s\n" << ending.result.err);
    CHECK(ending.result.exit_code == expected.code);
    CHECK(expected.is_said_in(ending.result.err));
    CHECK(ending.seconds < 18.0);  // as on the CPU
  }
}

TEST_CASE("emulated CUDA ranks: the version names the NCCL of the plug-in, or says that it has none") {
  const auto version_with = [](const char* plugin) { return run_program({"--version"}, with(plugin)).out; };
  CHECK_THAT(version_with(GRANULE_CUDA_EMULATED), Catch::Contains("\nnccl  2."));
  CHECK_THAT(version_with(GRANULE_WITHOUT_NCCL),
             Catch::Contains("\nnccl  none: the CUDA plug-in was built without it\n"));
}

#endif
