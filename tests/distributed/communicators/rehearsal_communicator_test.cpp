#include "distributed/communicators/rehearsal_communicator.hpp"

#include "core/kernels/fill.hpp"
#include "distributed/communicators/mesh.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Rows = std::vector<std::int64_t>;

Tensor empty(Context& context, std::int64_t rows) {
  Tensor tensor = Tensor::empty(context, {rows, 3}, DType::f32);
  if (context.keeps_bytes()) fill_zero(tensor);
  return tensor;
}

/// Runs every collective in every group of a mesh, with counts that this rank alone knows.
void run_all(Communicator& world, Context& context) {
  const Mesh mesh = make_mesh(world, {.ep = 2}, 4);
  for (Communicator* const ranks : {&world, mesh.data.get(), mesh.expert.get()}) {
    const std::int64_t n = ranks->size();
    const Tensor whole = empty(context, 4 * n), part = empty(context, 4), other = empty(context, 4 * n);
    ranks->all_reduce(empty(context, 7), "a").wait();
    ranks->reduce_scatter(whole, part, "b").wait();
    ranks->all_gather(part, whole, "c").wait();
    ranks->broadcast(part, 0, "d").wait();
    ranks
        ->all_to_all(whole, Rows(static_cast<std::size_t>(n), 4), other, Rows(static_cast<std::size_t>(n), 4),
                     "e")
        .wait();
    std::vector<double> values{1.0, 2.0};
    ranks->all_reduce(std::span(values), ReduceOp::sum, "f").wait();
    Rows all(static_cast<std::size_t>(2 * n));
    ranks->all_gather(Rows{1, 2}, all, "g").wait();
    ranks->barrier("h").wait();
  }
}

std::vector<std::string> rows_of(const Ledger& ledger) {
  std::vector<std::string> rows;
  for (const TrafficRow& row : ledger.traffic())
    rows.push_back(
        fmt::format("{} {} {} {} {}", row.group, name_of(row.kind), row.phase, row.calls, row.bytes));
  return rows;
}

}  // namespace

TEST_CASE("rehearsal communicator: its ledger has what the first of several thread ranks sends") {
  std::vector<std::string> real;
  run_ranks(6, [&](Communicator& world, Context& context) {
    run_all(world, context);
    if (world.rank() == 0) real = rows_of(world.ledger());
  });
  RehearsalCommunicator alone(6, Carrier::memory);
  Context context({.device = {DeviceType::meta}});
  run_all(alone, context);
  CHECK(rows_of(alone.ledger()) == real);
  CHECK(real.size() == 3 * 8);
}

TEST_CASE("rehearsal communicator: the absent ranks have the values of this one") {
  RehearsalCommunicator ranks(3, Carrier::memory);
  std::vector<double> sum{1.5, -2.0}, most{1.5};
  Rows counts{4, 5};
  ranks.all_reduce(std::span(sum), ReduceOp::sum, "a").wait();
  ranks.all_reduce(std::span(most), ReduceOp::max, "b").wait();
  ranks.all_reduce(std::span(counts), ReduceOp::sum, "c").wait();
  CHECK(sum == std::vector{4.5, -6.0});
  CHECK(most == std::vector{1.5});
  CHECK(counts == Rows{12, 15});
  Rows all(6);
  ranks.all_gather(Rows{7, 8}, all, "d").wait();
  CHECK(all == Rows{7, 8, 7, 8, 7, 8});
}

TEST_CASE("rehearsal communicator: sums over messages keep a piece of every other rank until they end") {
  Context context({.device = {DeviceType::meta}});
  const auto staged = [&] { return context.memory().current(MemoryCategory::communication); };
  const Tensor data = Tensor::empty(context, {1000}, DType::f64);
  {
    RehearsalCommunicator ranks(4, Carrier::messages);
    Pending sum = ranks.all_reduce(data, "sum");
    CHECK(staged() == 3 * 250 * 8);  // a quarter of the data from each of three ranks
    CHECK_FALSE(sum.poll());
    Pending scattered = ranks.reduce_scatter(data, data.slice(0, {250}), "scattered");
    CHECK(staged() == 2 * 3 * 250 * 8);
    sum.wait();
    scattered.wait();
    CHECK(staged() == 0);
    const Tensor large = Tensor::empty(context, {16, kSumPiece}, DType::f32);
    const Pending in_pieces = ranks.all_reduce(large, "large");
    CHECK(staged() == 3 * kSumPiece * 4);
    ranks.all_gather(data.slice(0, {250}), data, "gathered").wait();
  }
  RehearsalCommunicator neighbours(4, Carrier::memory);
  const Pending sum = neighbours.all_reduce(data, "sum");
  CHECK(staged() == 0);
}

TEST_CASE("rehearsal communicator: it refuses tensors that have bytes") {
  RehearsalCommunicator ranks(2, Carrier::memory);
  Context context;
  CHECK_THROWS_WITH(ranks.all_reduce(Tensor::zeros(context, {1}, DType::f32), "sum"),
                    Catch::Contains("no ranks that bytes could be sent to"));
}
