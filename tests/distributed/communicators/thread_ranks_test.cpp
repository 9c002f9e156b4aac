// Mistakes among thread ranks, and how they end: no rank waits for ever, and the first failure is reported.
#include <array>
#include <new>
#include <stdexcept>

#include "distributed/communicators/mesh.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

struct Outcome {
  int code = 0;
  std::string message;
};

Outcome outcome_of(int n, const std::function<void(Communicator&, Context&)>& body) {
  try {
    run_ranks(n, body);
  } catch (const Error& error) {
    return {static_cast<int>(error.code()), error.what()};
  }
  return {};
}

void sum(Communicator& ranks, Context& context, Phase phase, std::int64_t n = 4) {
  ranks.all_reduce(Tensor::zeros(context, {n}, DType::f32), phase).wait();
}

}  // namespace

TEST_CASE("abort throws in every thread rank that waits, and in those that call later") {
  std::array<std::string, 4> waiting, later;
  const auto message_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  const Outcome outcome = outcome_of(4, [&](Communicator& ranks, Context& context) {
    const auto me = static_cast<std::size_t>(ranks.rank());
    waiting[me] = message_of([&] {
      if (me == 2) ranks.abort(ExitCode::non_finite, "a loss is not finite");
      sum(ranks, context, "waiting");
    });
    later[me] = message_of([&] { sum(ranks, context, "later"); });
  });
  CHECK(outcome.code == 77);
  CHECK(outcome.message == "rank 2: a loss is not finite");
  for (const std::string& message : waiting) CHECK(message == "rank 2: a loss is not finite");
  for (const std::string& message : later) CHECK(message == "rank 2: a loss is not finite");
}

TEST_CASE("an exception of one thread rank ends the others, in groups too, and keeps its exit code") {
  const Outcome user = outcome_of(3, [](Communicator& ranks, Context& context) {
    const auto group = ranks.split([](int) { return Communicator::Seat{}; }, "group");
    if (ranks.rank() == 1) user_error("no such file", "data.path", "name one");
    sum(*group, context, "waiting");
  });
  CHECK(user.code == 2);
  CHECK(user.message == "rank 1: no such file (data.path): name one");
  const Outcome other = outcome_of(2, [](Communicator& ranks, Context& context) {
    if (ranks.rank() == 0) throw std::runtime_error("of another kind");
    sum(ranks, context, "waiting");
  });
  CHECK(other.code == 1);
  CHECK(other.message == "rank 0: of another kind");
}

TEST_CASE("a mesh may be left by an exception, of any kind, and the job ends as what it is") {
  const auto ends_with = [](const std::function<void()>& fail) {
    return outcome_of(4, [&](Communicator& world, Context& context) {
      const Mesh mesh = make_mesh(world, {.ep = 2}, 4);
      const Tensor data = Tensor::zeros(context, {100}, DType::f32);
      const Pending pending = mesh.expert->all_reduce(data, "in flight");
      if (world.rank() == 1) fail();
      sum(*mesh.data, context, "waiting");
      sum(*mesh.expert, context, "waiting");
    });
  };
  const Outcome user = ends_with([] { user_error("no such file", "data.path", "name one"); });
  CHECK(user.code == 2);
  CHECK(user.message == "rank 1: no such file (data.path): name one");
  const Outcome memory = ends_with([] { throw std::bad_alloc(); });
  CHECK(memory.code == 71);
  CHECK_THAT(memory.message, Contains("rank 1: out of memory"));
  const Outcome unknown = ends_with([] { throw 5; });
  CHECK(unknown.code == 1);
  CHECK_THAT(unknown.message, Contains("rank 1: an exception of an unknown kind"));
}

TEST_CASE("a rank that throws with a collective in flight lets the others end it first") {
  const Outcome outcome = outcome_of(2, [](Communicator& ranks, Context& context) {
    const Tensor data = Tensor::zeros(context, {100}, DType::f32);
    const Pending pending = ranks.all_reduce(data, "in flight");
    if (ranks.rank() == 0) user_error("thrown", "", "");
    sum(ranks, context, "next");
  });
  CHECK(outcome.message == "rank 0: thrown");
}

TEST_CASE("a collective that one rank skips is found: phase, kind or size differ") {
  const Outcome skipped = outcome_of(4, [](Communicator& ranks, Context& context) {
    sum(ranks, context, "first");
    if (ranks.rank() != 3) sum(ranks, context, "second");
    sum(ranks, context, "third");
  });
  CHECK(skipped.code == 76);
  CHECK_THAT(skipped.message, Contains("rank 3 in") || Contains("rank 3 is in"));
  CHECK_THAT(skipped.message, Contains("all_reduce 'second'") && Contains("all_reduce 'third'"));
  const Outcome kind = outcome_of(2, [](Communicator& ranks, Context& context) {
    if (ranks.rank() == 0) return sum(ranks, context, "same");
    ranks.broadcast(Tensor::zeros(context, {4}, DType::f32), 0, "same").wait();
  });
  CHECK(kind.code == 76);
  CHECK_THAT(kind.message, Contains("all_reduce 'same'") && Contains("broadcast 'same'"));
  const Outcome size = outcome_of(
      2, [](Communicator& ranks, Context& context) { sum(ranks, context, "sum", 4 + ranks.rank()); });
  CHECK(size.code == 76);
  CHECK_THAT(size.message, Contains("of 4 f32") && Contains("of 5 f32"));
}

TEST_CASE("a skipped collective among equal ones is found when the step changes") {
  const Outcome outcome = outcome_of(2, [](Communicator& ranks, Context& context) {
    for (int step = 1; step <= 3; ++step) {
      ranks.ledger().begin_step(step);
      for (int layer = 0; layer < 4; ++layer) {
        if (ranks.rank() == 0 || step != 2 || layer != 1) sum(ranks, context, "layer");
      }
    }
  });
  CHECK(outcome.code == 76);
  CHECK_THAT(outcome.message, Contains("step 2") && Contains("step 3"));
}

TEST_CASE("a collective that one rank runs once more is found, also as the last one") {
  const int extra = GENERATE(0, 1);  // the place where it is
  const Outcome outcome = outcome_of(3, [&](Communicator& ranks, Context& context) {
    for (int i = 0; i < 2; ++i) {
      sum(ranks, context, "repeated");
      if (ranks.rank() == 1 && i == extra) sum(ranks, context, "repeated");
      if (i == 0) ranks.barrier("between").wait();
    }
  });
  CHECK(outcome.code == 76);
  CHECK_THAT(outcome.message, extra == 0 ? Contains("barrier 'between'") : Contains("done"));
}

TEST_CASE("rows that one rank sends and the other does not expect are found") {
  const Outcome outcome = outcome_of(2, [](Communicator& ranks, Context& context) {
    const std::vector<std::int64_t> send{1, 1}, receive{1, ranks.rank() == 0 ? 2 : 1};
    const Tensor to = Tensor::zeros(context, {receive[0] + receive[1], 3}, DType::f32);
    ranks.all_to_all(Tensor::zeros(context, {2, 3}, DType::f32), send, to, receive, "dispatch").wait();
  });
  CHECK(outcome.code == 76);
  CHECK_THAT(outcome.message, Contains("rank 1 sends 3 elements to rank 0, which expects 6"));
}

TEST_CASE("the ledger tells another thread where a rank is") {
  run_ranks(2, [](Communicator& ranks, Context& context) {
    ranks.ledger().begin_step(12);
    ranks.ledger().begin_phase("backward");
    sum(ranks, context, "gradients");
    const RankStatus status = ranks.ledger().status();
    expect(status.step == 12 && status.phase == "backward" && status.collectives == 1, "the status");
    expect(status.collective == "in all_reduce 'gradients' of 4 f32 (number 0, step 12)", status.collective);
  });
}

TEST_CASE("a mesh has the expert ranks adjacent and the data ranks in columns") {
  std::array<std::array<int, 4>, 6> places{};
  run_ranks(6, [&](Communicator& world, Context&) {
    const Mesh mesh = make_mesh(world, {.ep = 3}, 9);
    places[static_cast<std::size_t>(world.rank())] = {mesh.expert->rank(), mesh.expert->size(),
                                                      mesh.data->rank(), mesh.data->size()};
    std::array<std::int64_t, 3> row{};
    mesh.expert->all_gather(std::array<std::int64_t, 1>{world.rank()}, row, "row").wait();
    const int first = world.rank() / 3 * 3;
    expect(row == std::array<std::int64_t, 3>{first, first + 1, first + 2}, "a row");
  });
  for (int rank = 0; rank < 6; ++rank) {
    CHECK(places[static_cast<std::size_t>(rank)] == std::array<int, 4>{rank % 3, 3, rank / 3, 2});
  }
}

TEST_CASE("a mesh refuses impossible layouts by name") {
  CHECK_NOTHROW(check_layout({.ep = 4}, 8, 8));
  CHECK_THROWS_WITH(check_layout({.ep = 0}, 0, 1), Contains("parallel.ep"));
  CHECK_THROWS_WITH(check_layout({.ep = 3}, 9, 8),
                    Contains("8 ranks cannot be cut into groups of parallel.ep = 3"));
  CHECK_THROWS_WITH(check_layout({.ep = 4}, 6, 8),
                    Contains("6 experts cannot be sharded evenly over parallel.ep = 4 ranks"));
  CHECK_THROWS_WITH(check_layout({.ep = 2}, 0, 2), Contains("dense model"));
}
