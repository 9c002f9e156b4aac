// The layout certificate. Every layout is equal to one rank, and known mistakes of sharded trainers show. The
// figure and the parameter that differ tell which mistake it is.
#include "apps/verification/step_figures.hpp"

#include <nlohmann/json.hpp>

#include "apps/inputs/run_data.hpp"
#include "distributed/communicators/self_communicator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/disturbed_ranks.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/sharded_run.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

RunConfig config_of() {
  RunConfig config;
  const ShardedCase of = sharded_case();
  config.model = of.model;
  config.moe = of.moe;
  config.data.seq_len = kSmallSeq;
  config.train.batch_size = 8;
  config.train.micro_batch_size = 1;
  config.train.dtype = DType::f64;
  config.train.threads = 1;
  return config;
}

StepInput input_of(const RunConfig& config) {
  return {config, totals_of(config), [&config](Context& context, std::int64_t index) {
            return small_batch(context, config.model, index, 1);
          }};
}

/// How a step on 4 ranks with this planted mistake differs from one rank.
FigureDifferences with_mistake(const ParallelLayout& layout, const Disturbance& mistake,
                               StepTotals (*totals)(StepTotals) = nullptr) {
  const RunConfig config = config_of();
  SelfCommunicator alone;
  const StepFigures reference = step_figures(alone, input_of(config), {});
  StepInput input = input_of(config);
  if (totals != nullptr) input.totals = totals(input.totals);
  StepFigures figures;
  run_ranks(4, [&](Communicator& given, Context&) {
    DisturbedRanks ranks(given, mistake);
    StepFigures mine = step_figures(ranks, input, layout);
    if (ranks.rank() == 0) figures = std::move(mine);
  });
  return differences(figures, reference, config.train.dtype);
}

Runs none(const Collective&, const Communicator&) {
  return Runs::once;
}

}  // namespace

TEST_CASE("step_figures: a step without a mistake holds, and what it differs in is rounding") {
  const FigureDifferences difference = with_mistake({.ep = 2, .zero = 3}, none);
  CHECK(difference.hold(DType::f64));
  CHECK_FALSE(difference.parameter.empty());
}

TEST_CASE("planted: the experts' gradients are multiplied by ep") {
  const FigureDifferences difference =
      with_mistake({.ep = 2}, [](const Collective& call, const Communicator& group) {
        if (call.phase.name() == "gradients" && group.name() == "data") {
          for (double& g : call.held_input.span<double>()) g *= 2.0;
        }
        return Runs::once;
      });
  CHECK_FALSE(difference.hold(DType::f64));
  CHECK_THAT(difference.parameter, Contains(".mlp.experts."));
  CHECK(difference.gradient == Approx(1.0));
  CHECK(difference.ce <= 1e-12);
}

TEST_CASE("planted: the norm is averaged over the ranks instead of summed") {
  const FigureDifferences difference =
      with_mistake({.zero = 2}, [](const Collective& call, const Communicator&) {
        if (call.phase.name() == "gradient norm") *reinterpret_cast<double*>(call.output) /= 4.0;
        return Runs::once;
      });
  CHECK_FALSE(difference.hold(DType::f64));
  CHECK(difference.grad_norm == Approx(0.5));  // the root of a fourth
  CHECK(difference.gradient <= 1e-10);
}

TEST_CASE("planted: balance losses are scaled by what a rank has instead of what all have") {
  const FigureDifferences difference = with_mistake({.ep = 2}, none, [](StepTotals totals) {
    totals.sequences /= 4;
    return totals;
  });
  CHECK_FALSE(difference.hold(DType::f64));
  CHECK(difference.aux == Approx(3.0));
  CHECK(difference.ce <= 1e-12);
}

TEST_CASE("planted: no rank sums one unit's gradients") {
  const FigureDifferences difference =
      with_mistake({}, [number = 0](const Collective& call, const Communicator& group) mutable {
        const bool dense = call.phase.name() == "gradients" && group.name() == "world";
        return dense && ++number == 1 ? Runs::never : Runs::once;
      });
  CHECK_FALSE(difference.hold(DType::f64));
  // Backward begins at the head. The only parameter that only the head has is the last norm.
  CHECK(difference.parameter == "model.norm.weight");
}

#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested run

TEST_CASE("step_figures: granule verify prints a row a layout, and exits with 0 when all hold") {
  const SmallRun& small = small_run();
  const ProgramResult result = run_program({"verify", small.config, "train.dtype=f64",
                                            "train.micro_batch_size=2", "--ranks", "2,4", "--zero", "0,3"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  const auto report = nlohmann::json::parse(result.out);
  CHECK(report.at("holds") == true);
  CHECK(report.at("layouts").size() == 2 * (2 + 3));  // ep is 1 or 2 with two ranks, and 1, 2 or 4 with four
  for (const auto& row : report.at("layouts")) {
    CHECK(row.at("ce").get<double>() <= 1e-12);
    CHECK(row.at("holds") == true);
  }
}

TEST_CASE("step_figures: granule verify takes lists as one word each, and tries no layout twice") {
  const SmallRun& small = small_run();
  const ProgramResult result = run_program({"verify", "--ranks=2,2", small.config, "train.micro_batch_size=2",
                                            "--ep", "1", "train.dtype=f64", "--zero", "3,3"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(nlohmann::json::parse(result.out).at("layouts").size() == 1);
}

TEST_CASE("step_figures: a gradient that is zero but for rounding is no difference between layouts") {
  // In a sequence of one token, attention has no choice. So queries and keys have no gradient.
  const SmallRun& small = small_run();
  for (const char* dtype : {"train.dtype=f64", "train.dtype=f32", "train.dtype=bf16"}) {
    const ProgramResult result =
        run_program({"verify", small.config, "data.seq_len=1", dtype, "train.micro_batch_size=2", "--ranks",
                     "2", "--zero", "1", "moe.norm_topk_prob=true"});
    INFO(result.err);
    CHECK(result.exit_code == 0);
  }
}

TEST_CASE("step_figures: where one rank's step is not finite there is nothing to compare") {
  const SmallRun& small = small_run();
  const ProgramResult result = run_program({"verify", small.config, "model.initializer_range=1e6",
                                            "train.micro_batch_size=2", "--ranks", "2", "--zero", "0"});
  CHECK(result.exit_code == 77);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains("on one rank the step has a loss of") && Contains("nothing to compare"));
}

TEST_CASE("step_figures: granule verify refuses ranks and layouts that do not fit") {
  const SmallRun& small = small_run();
  const auto refused = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"verify", small.config});
    const ProgramResult result = run_program(more);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    return result.err;
  };
  CHECK_THAT(refused({}), Contains("--ranks is missing"));
  CHECK_THAT(refused({"--ranks", "3"}), Contains("--ranks") && Contains("3 ranks"));
  CHECK_THAT(refused({"--ranks", "2", "--ep", "3"}), Contains("--ep") && Contains("8 experts"));
  CHECK_THAT(refused({"--ranks", "2", "--zero", "4"}), Contains("--zero"));
  CHECK_THAT(refused({"--ranks", "2", "parallel.ep=3"}), Contains("parallel.ep=3") && Contains("--ep"));
  CHECK_THAT(refused({"--ranks", "2", "parallel.zero=2"}), Contains("parallel.zero=2") && Contains("--zero"));
}

#endif
