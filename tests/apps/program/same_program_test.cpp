// All ranks of a job must run the same program.
#include "apps/program/same_program.hpp"

#include "core/kernels/instruction_set.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/run_program.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
using Catch::EndsWith;

namespace {

/// The message of a job with these ranks. Empty if it starts.
std::string refusal(const std::vector<ProgramIdentity>& programs) {
  try {
    run_ranks(static_cast<int>(programs.size()), [&](Communicator& ranks, Context&) {
      require_same_program(ranks, programs[static_cast<std::size_t>(ranks.rank())]);
    });
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::out_of_step);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("same_program: ranks of different versions or instruction sets do not begin, and both are named") {
  const ProgramIdentity one{"0.1.0 (aaaa)", "AVX3"};
  CHECK(refusal({one, one, one}).empty());
  CHECK_THAT(refusal({one, one, {"0.1.0 (bbbb)", "AVX3"}}),
             Contains("different versions") && Contains("rank 0 0.1.0 (aaaa), rank 2 0.1.0 (bbbb)"));
  CHECK_THAT(refusal({one, {"0.1.0 (aaaa)", "SSE4"}, {"0.1.0 (aaaa)", "AVX2"}}),
             Contains("different instruction sets") && Contains("rank 0 AVX3, rank 1 SSE4") &&
                 Contains("GRANULE_CPU_TARGET=SSE4"));
  CHECK_THAT(refusal({{"0.1.0 (aaaa)", "AVX3+amx"}, {"0.1.0 (aaaa)", "AVX3+bf16"}}),
             Contains("GRANULE_CPU_TARGET=AVX3+bf16"));
  // Each has what the other has not.
  CHECK_THAT(refusal({{"0.1.0 (aaaa)", "AVX3+amx"}, {"0.1.0 (aaaa)", "AVX3_DL"}}),
             EndsWith("GRANULE_CPU_TARGET=AVX3") || Contains("GRANULE_CPU_TARGET=AVX3)"));
  CHECK_THAT(refusal({{"0.1.0 (aaaa)", "AVX3+bf16"}, one}), Contains("GRANULE_CPU_TARGET=AVX3)") ||
                                                                Contains("GRANULE_CPU_TARGET=AVX3\n") ||
                                                                EndsWith("GRANULE_CPU_TARGET=AVX3"));
}

TEST_CASE("same_program: the environment may choose a lesser instruction set, and only one that is there") {
  const std::string least = instruction_sets().back();
  ProgramOptions options;
  options.environment = {{"GRANULE_CPU_TARGET", least}};
  CHECK_THAT(run_program({"--version"}, options).out, Contains("cpu   " + least + "\n"));
  options.environment = {{"GRANULE_CPU_TARGET", "AVX9"}};
  const ProgramResult refused = run_program({"--version"}, options);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("there is no instruction set 'AVX9' here") && Contains(least));
}
