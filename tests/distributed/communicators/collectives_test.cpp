// The collectives on one rank and on thread ranks, and which calls they refuse.

#include "distributed/communicators/self_communicator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/collective_cases.hpp"
#include "tests/support/disturbed_ranks.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/test_context.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("every collective does the right thing on one rank that is alone") {
  for (const CollectiveCase& one : collective_cases()) {
    INFO(one.name);
    SelfCommunicator alone;
    TestContext context;
    CHECK_NOTHROW(one.run(alone, context));
  }
}

TEST_CASE("every collective does the right thing on 1, 2, 3, 4 and 8 thread ranks") {
  const int n = GENERATE(1, 2, 3, 4, 8);
  for (const CollectiveCase& one : collective_cases()) {
    INFO(one.name << " on " << n);
    CHECK_NOTHROW(run_ranks(n, one.run));
  }
}

TEST_CASE("every collective does the right thing on thread ranks that come and go at random moments") {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    for (const CollectiveCase& one : collective_cases()) {
      if (one.name == "traffic") continue;  // the ledger counts it twice
      INFO(one.name << " with seed " << seed);
      CHECK_NOTHROW(run_ranks(5, [&](Communicator& ranks, Context& context) {
        DisturbedRanks uneven(ranks, random_pauses(seed, ranks.rank()));
        one.run(uneven, context);
      }));
    }
  }
}

TEST_CASE("buffers that do not fit a collective are refused before anything is sent") {
  SelfCommunicator alone;
  TestContext context;
  const Tensor four = Tensor::zeros(context, {4}, DType::f32);
  const Tensor apart = Tensor::zeros(context, {4}, DType::f32);
  const std::vector<std::int64_t> rows{4}, three{3}, two_ranks{2, 2}, negative{-4};
  CHECK_THROWS_WITH(alone.all_reduce(Tensor(), "p"), Catch::Contains("undefined"));
  CHECK_THROWS_WITH(alone.all_reduce(Tensor::zeros(context, {1}, DType::u8), "p"), Catch::Contains("u8"));
  CHECK_THROWS_WITH(alone.broadcast(four, 1, "p"), Catch::Contains("root 1"));
  CHECK_THROWS_WITH(alone.all_gather(four.slice(0, {3}), four, "p"), Catch::Contains("3 elements"));
  CHECK_THROWS_WITH(alone.all_gather(Tensor::zeros(context, {4}, DType::f64), four, "p"),
                    Catch::Contains("f64"));
  CHECK_THROWS_WITH(alone.all_to_all(four, three, apart, rows, "p"), Catch::Contains("3 elements"));
  CHECK_THROWS_WITH(alone.all_to_all(four, two_ranks, apart, rows, "p"), Catch::Contains("2 row counts"));
  CHECK_THROWS_WITH(alone.all_to_all(four, negative, apart, rows, "p"), Catch::Contains("-4 rows"));
  CHECK_THROWS_WITH(alone.all_to_all(four, rows, four, rows, "p"), Catch::Contains("overlap"));
  CHECK_THROWS_WITH(alone.all_to_all(four, rows, apart.view({2, 2}), rows, "p"),
                    Catch::Contains("rows of 2"));
  CHECK_THROWS_WITH(alone.gather(four, four, rows, 0, "p"), Catch::Contains("overlap"));
  CHECK_THROWS_WITH(alone.split([](int) { return Communicator::Seat{.color = -1}; }, "p"),
                    Catch::Contains("color -1"));
}

TEST_CASE("a part that overlaps the whole has to be the rank's own slice of it") {
  const auto overlapping = [](Communicator& ranks, Context& context) {
    const Tensor whole = Tensor::zeros(context, {4}, DType::f32);
    ranks.all_gather(whole.slice(1, {2}), whole, "p").wait();
  };
  CHECK_THROWS_WITH(run_ranks(2, overlapping), Catch::Contains("slice"));
}
