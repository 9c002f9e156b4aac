// Every layout of 4 ranks that each have an emulated CUDA device, and faults in every kind of collective.
// tests/integration/emulated_ranks_test.cpp has what is tested always.
#include "tests/support/emulated_runs.hpp"
#include "tests/support/faulty_run.hpp"

#ifdef GRANULE_EMULATED_NCCL

using namespace granule::test;
using nlohmann::json;

TEST_CASE(
    "emulated CUDA ranks: every layout of 4 ranks trains alike in rank order, and as through the host") {
  const Workshop shop;
  const auto trained = [&](const std::string& plugin, int zero, int ep) {
    const std::string out =
        fmt::format("{}-{}-{}", std::string_view(plugin) == GRANULE_WITHOUT_NCCL ? "host" : "nccl", zero, ep);
    train_on(4, shop, out.c_str(),
             kOnCuda + Words{"train.micro_batch_size=1", "checkpoint.every=6", "parallel.deterministic=true",
                             fmt::format("parallel.zero={}", zero), fmt::format("parallel.ep={}", ep)},
             with(plugin.c_str()));
    return std::pair{shop.metrics(out.c_str()), shop.tensors(out.c_str(), 6)};
  };
  for (const int ep : {1, 2, 4}) {
    const auto expected = trained(GRANULE_WITHOUT_NCCL, 0, ep);
    for (const int zero : {0, 1, 2, 3}) {
      CAPTURE(ep, zero);
      CHECK(trained(GRANULE_CUDA_EMULATED, zero, ep) == expected);
    }
  }
}

TEST_CASE("emulated CUDA ranks: verify certifies every layout of 4 ranks") {
  const Workshop shop;
  const Words words{program_path(), "verify", shop.path("run.toml"), "train.dtype=f64",
                    "train.micro_batch_size=1"};
  const ProgramResult result = under_mpirun(4, words + kOnCuda, with(GRANULE_CUDA_EMULATED));
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(json::parse(result.out)["layouts"].size() == 12);
}

TEST_CASE("emulated CUDA ranks: faults in every kind of collective end the job as on the CPU") {
  const Workshop shop;
  for (const std::string what : {"kill", "throw", "exit", "stop", "sleep", "skip", "repeat"}) {
    for (const std::string where : {"values", "gradients", "expert_rows", "expert_output_gradients"}) {
      for (const int rank : {0, 1}) {
        const std::string fault = fmt::format("{} rank={} step=3 at={}", what, rank, where);
        std::filesystem::remove_all(shop.directory / "run");
        const Ending ending = end_of_faulty(
            shop, "run",
            {.fault = fault,
             .more = kOnCuda + Words{"parallel.ep=2", "parallel.zero=3", "train.micro_batch_size=1",
                                     "parallel.watchdog_seconds=2", "train.steps=6", "eval.every=0"},
             .environment = {{"GRANULE_CUDA_PLUGIN", GRANULE_CUDA_EMULATED}}});
        const Expected expected = expected_end(what, rank);
        INFO(fault << " took " << ending.seconds << " s\n" << ending.result.err);
        CHECK(ending.result.exit_code == expected.code);
        CHECK(expected.is_said_in(ending.result.err));
      }
    }
  }
}

#endif
