#include "tests/support/collective_cases.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "core/kernels/copy.hpp"
#include "core/kernels/fill.hpp"
#include "core/transfer.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/tensors.hpp"

namespace granule::test {
namespace {

using Rows = std::vector<std::int64_t>;
using Seat = Communicator::Seat;

/// Whole numbers that differ by rank and place. Sums over ranks are exact in every type.
std::int64_t number(int rank, std::int64_t i) {
  return (i * 7 + rank * 31) % 101 - 50;
}

template <class T>
Tensor numbers(Context& context, int rank, const Shape& shape, std::int64_t first = 0) {
  std::vector<T> elements;
  for (std::int64_t i = 0; i < shape.numel(); ++i)
    elements.push_back(static_cast<T>(number(rank, first + i)));
  Tensor tensor = Tensor::empty(context, shape, dtype_of<T>);
  write<T>(elements, tensor);
  return tensor;
}

template <class T>
T sum_of(int ranks, std::int64_t i) {
  std::int64_t sum = 0;
  for (int rank = 0; rank < ranks; ++rank) sum += number(rank, i);
  return static_cast<T>(sum);
}

/// Elements [begin, end) of a tensor are f(0), f(1), …
template <class T, class F>
void expect_elements(const Tensor& tensor, const F& f, std::string_view what) {
  const HostCopy<T> copy = read_back<T>(tensor);
  const std::span<const T> elements = copy.get();
  for (std::size_t i = 0; i < elements.size(); ++i) {
    expect(elements[i] == f(static_cast<std::int64_t>(i)), fmt::format("{}: element {}", what, i));
  }
}

template <class T>
void all_reduce(Communicator& ranks, Context& context) {
  for (const std::int64_t n : {0, 1, 2, 7, 1000, 4099}) {
    const Tensor all = numbers<T>(context, ranks.rank(), {n + 9});  // nothing may happen to the last ones
    const Tensor data = all.slice(0, {n});
    ranks.all_reduce(data, "sum").wait();
    const auto after = [&](auto i) { return static_cast<T>(number(ranks.rank(), n + i)); };
    expect_elements<T>(all.slice(n, {9}), after, "after the data of all_reduce");
    expect_elements<T>(
        data, [&](auto i) { return sum_of<T>(ranks.size(), i); }, "all_reduce");
  }
}

template <class T>
void reduce_scatter(Communicator& ranks, Context& context) {
  for (const std::int64_t n : {0, 1, 5, 1030}) {
    const Tensor whole = numbers<T>(context, ranks.rank(), {n * ranks.size()});
    const Tensor part = Tensor::empty(context, {n}, dtype_of<T>);
    const auto wanted = [&](auto i) { return sum_of<T>(ranks.size(), ranks.rank() * n + i); };
    ranks.reduce_scatter(whole, part, "scatter").wait();
    expect_elements<T>(part, wanted, "reduce_scatter");
    const Tensor slice = whole.slice(ranks.rank() * n, {n});
    ranks.reduce_scatter(whole, slice, "scatter in place").wait();
    expect_elements<T>(slice, wanted, "reduce_scatter in place");
  }
}

template <class T>
void all_gather(Communicator& ranks, Context& context) {
  for (const std::int64_t n : {0, 1, 5, 1030}) {
    const Tensor whole = Tensor::zeros(context, {n * ranks.size()}, dtype_of<T>);
    const auto wanted = [&](auto i) { return static_cast<T>(number(static_cast<int>(i / n), i % n)); };
    ranks.all_gather(numbers<T>(context, ranks.rank(), {n}), whole, "gather all").wait();
    expect_elements<T>(whole, wanted, "all_gather");
    fill_zero(whole);
    const Tensor slice = whole.slice(ranks.rank() * n, {n});
    copy(numbers<T>(context, ranks.rank(), {n}), slice);
    ranks.all_gather(slice, whole, "gather all in place").wait();
    expect_elements<T>(whole, wanted, "all_gather in place");
  }
}

template <class T>
void broadcast(Communicator& ranks, Context& context) {
  for (int root = 0; root < ranks.size(); ++root) {
    for (const std::int64_t n : {0, 1, 33}) {
      const Tensor data = numbers<T>(context, ranks.rank(), {n});
      ranks.broadcast(data, root, "broadcast").wait();
      expect_elements<T>(
          data, [&](auto i) { return static_cast<T>(number(root, i)); }, "broadcast");
    }
  }
}

using Routing = std::int64_t (*)(int sender, int receiver);

std::int64_t some_rows(int sender, int receiver) {
  return (sender * 3 + receiver * 2 + 1) % 4;
}
std::int64_t no_rows(int, int) {
  return 0;
}
std::int64_t all_to_first(int sender, int receiver) {
  return receiver == 0 ? 5 + sender : 0;
}

template <class T>
void exchange_rows(Communicator& ranks, Context& context, Routing routing, std::int64_t width) {
  Rows send, receive;
  std::int64_t sent = 0, received = 0;
  for (int peer = 0; peer < ranks.size(); ++peer) {
    sent += send.emplace_back(routing(ranks.rank(), peer));
    received += receive.emplace_back(routing(peer, ranks.rank()));
  }
  const Tensor from = numbers<T>(context, ranks.rank(), {sent, width});
  const Tensor to = Tensor::zeros(context, {received, width}, dtype_of<T>);
  ranks.all_to_all(from, send, to, receive, "rows").wait();
  std::vector<T> wanted;
  for (int peer = 0; peer < ranks.size(); ++peer) {
    std::int64_t first = 0;
    for (int before = 0; before < ranks.rank(); ++before) first += routing(peer, before) * width;
    for (std::int64_t i = 0; i < routing(peer, ranks.rank()) * width; ++i) {
      wanted.push_back(static_cast<T>(number(peer, first + i)));
    }
  }
  expect_elements<T>(
      to, [&](auto i) { return wanted[static_cast<std::size_t>(i)]; }, "all_to_all");
}

template <class T>
void all_to_all(Communicator& ranks, Context& context) {
  for (const Routing routing : {&some_rows, &no_rows, &all_to_first}) {
    for (const std::int64_t width : {1, 3}) exchange_rows<T>(ranks, context, routing, width);
  }
}

template <class T>
void gather(Communicator& ranks, Context& context) {
  constexpr std::int64_t kWidth = 3;
  for (int root = 0; root < ranks.size(); ++root) {
    Rows rows;
    std::vector<T> wanted;
    for (int rank = 0; rank < ranks.size(); ++rank) {
      const std::int64_t n = rows.emplace_back((rank + 1) % 3);
      for (std::int64_t i = 0; i < n * kWidth; ++i) wanted.push_back(static_cast<T>(number(rank, i)));
    }
    const Tensor mine =
        numbers<T>(context, ranks.rank(), {rows[static_cast<std::size_t>(ranks.rank())], kWidth});
    if (ranks.rank() != root) {
      ranks.gather(mine, Tensor(), {}, root, "to root").wait();
      continue;
    }
    const Tensor all = Tensor::zeros(context, {std::ssize(wanted) / kWidth, kWidth}, dtype_of<T>);
    ranks.gather(mine, all, rows, root, "to root").wait();
    expect_elements<T>(
        all, [&](auto i) { return wanted[static_cast<std::size_t>(i)]; }, "gather");
  }
}

void host_values(Communicator& ranks, Context&) {
  const int last = ranks.size() - 1;
  std::vector<double> values{1.5 * ranks.rank(), -1.0 * ranks.rank()};
  ranks.all_reduce(std::span(values), ReduceOp::max, "highest").wait();
  expect(values == std::vector<double>{1.5 * last, 0.0}, "all_reduce max");
  values = {1.0 + ranks.rank()};
  ranks.all_reduce(std::span(values), ReduceOp::sum, "sum").wait();
  expect(values[0] == 0.5 * ranks.size() * (ranks.size() + 1), "all_reduce sum of values");
  values = {ranks.rank() == last ? std::numeric_limits<double>::quiet_NaN() : 1e300};
  ranks.all_reduce(std::span(values), ReduceOp::max, "highest").wait();
  expect(std::isnan(values[0]), "all_reduce max of a NaN");
  Rows whole{ranks.rank() + 3, std::numeric_limits<std::int64_t>::max() - ranks.rank()};
  ranks.all_reduce(std::span(whole), ReduceOp::min, "lowest").wait();
  expect(whole == Rows{3, std::numeric_limits<std::int64_t>::max() - last}, "all_reduce min");
  const Rows mine{ranks.rank(), 10 * ranks.rank()};
  Rows all(2 * static_cast<std::size_t>(ranks.size()), -1), wanted;
  for (int rank = 0; rank < ranks.size(); ++rank) wanted.insert(wanted.end(), {rank, 10 * rank});
  ranks.all_gather(mine, all, "counts").wait();
  expect(all == wanted, "all_gather of values");
  ranks.barrier("end").wait();
}

/// The collectives are waited for in another order, and run in groups of both axes.
void several_in_flight(Communicator& ranks, Context& context) {
  const auto group = ranks.split([](int rank) { return Seat{rank % 2, -rank}; }, "odd or even");
  const Tensor a = numbers<float>(context, ranks.rank(), {300});
  const Tensor b = numbers<float>(context, ranks.rank(), {7});
  const Tensor c = numbers<double>(context, ranks.rank(), {50});
  const Tensor all = Tensor::zeros(context, {7 * ranks.size()}, DType::f32);
  Pending sum = ranks.all_reduce(a, "first");
  Pending gathered = ranks.all_gather(b, all, "second");
  Pending sum_of_group = group->all_reduce(c, "third");
  if (ranks.rank() % 2 == 0) {
    gathered.wait();
    sum_of_group.wait();
    while (!sum.poll()) std::this_thread::yield();
  } else {
    sum_of_group.wait();
    sum.wait();
    gathered = Pending();  // this waits
  }
  expect_elements<float>(
      a, [&](auto i) { return sum_of<float>(ranks.size(), i); }, "first");
  expect_elements<float>(
      all, [&](auto i) { return static_cast<float>(number(static_cast<int>(i / 7), i % 7)); }, "second");
  const auto wanted = [&](auto i) {
    std::int64_t sum_of_peers = 0;
    for (int rank = ranks.rank() % 2; rank < ranks.size(); rank += 2) sum_of_peers += number(rank, i);
    return static_cast<double>(sum_of_peers);
  };
  expect_elements<double>(c, wanted, "third");
}

void groups(Communicator& ranks, Context&) {
  // The colors are the two halves, and the keys reverse the order.
  const auto half_of = [&](int rank) { return rank < (ranks.size() + 1) / 2 ? 0 : 1; };
  const int half = half_of(ranks.rank());
  const auto group = ranks.split([&](int rank) { return Seat{half_of(rank), -rank}; }, "half");
  const int first = half == 0 ? 0 : (ranks.size() + 1) / 2;
  const int size = half == 0 ? (ranks.size() + 1) / 2 : ranks.size() / 2;
  expect(group->size() == size && group->rank() == size - 1 - (ranks.rank() - first), "place in the group");
  expect(group->name() == "half" && group->world_rank() == ranks.world_rank(), "name of the group");
  Rows all(static_cast<std::size_t>(size), -1), wanted;
  for (int i = 0; i < size; ++i) wanted.push_back(first + size - 1 - i);
  group->all_gather(Rows{ranks.rank()}, all, "who").wait();
  expect(all == wanted, "members of the group");
  const auto alone = group->split([](int rank) { return Seat{rank, 0}; }, "alone");
  expect(alone->size() == 1 && alone->rank() == 0, "a group of one");
}

/// Sums are the same bits as adding rank by rank, whole or scattered, every time.
template <class T>
void rank_order(Communicator& ranks, Context& context) {
  const std::int64_t part = 517, n = part * ranks.size();
  std::vector<std::vector<double>> values;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    values.push_back(normal_values(n, static_cast<std::uint64_t>(rank) + 1, std::pow(10.0, rank % 4)));
    for (double& value : values.back()) value /= 3.0;  // a sum of few floats would be exact in f64
  }
  const auto wanted = [&](std::int64_t i) {
    T sum = static_cast<T>(values[0][static_cast<std::size_t>(i)]);
    for (std::size_t rank = 1; rank < values.size(); ++rank) {
      sum += static_cast<T>(values[rank][static_cast<std::size_t>(i)]);
    }
    return sum;
  };
  const auto& mine = values[static_cast<std::size_t>(ranks.rank())];
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Tensor whole = tensor_of(context, {n}, dtype_of<T>, mine);
    ranks.all_reduce(whole, "whole").wait();
    expect_elements<T>(whole, wanted, "bits of all_reduce");
    const Tensor sum = Tensor::empty(context, {part}, dtype_of<T>);
    ranks.reduce_scatter(tensor_of(context, {n}, dtype_of<T>, mine), sum, "scattered").wait();
    expect_elements<T>(
        sum, [&](auto i) { return wanted(ranks.rank() * part + i); }, "bits of reduce_scatter");
  }
}

/// The last rank is in no group with others, if there are three.
void rank_order_of_group(Communicator& world, Context& context) {
  const int last = world.size() - 1;
  const auto ranks = world.split(
      [last](int rank) {
        return Seat{last >= 3 && rank == last ? 1 : 0, rank};
      },
      "all but the last");
  rank_order<float>(*ranks, context);
}

void traffic(Communicator& world, Context& context) {
  const auto ranks = world.split([](int rank) { return Seat{0, rank}; }, "counted");
  const std::int64_t n = ranks->size(), me = ranks->rank(), part = 9;
  const Tensor whole = Tensor::zeros(context, {part * n}, DType::f32);
  const Tensor mine = Tensor::zeros(context, {part}, DType::f32);
  const Tensor odd = Tensor::zeros(context, {5}, DType::f64);
  ranks->all_reduce(odd, "t1").wait();
  ranks->all_reduce(odd, "t1").wait();
  ranks->reduce_scatter(whole, mine, "t2").wait();
  ranks->all_gather(mine, whole, "t3").wait();
  ranks->broadcast(mine, 0, "t4").wait();
  const Rows rows(static_cast<std::size_t>(n), 2), even(static_cast<std::size_t>(n), 1);
  const Tensor pairs = Tensor::zeros(context, {2 * n, 3}, DType::f32);
  ranks->all_to_all(pairs, rows, Tensor::zeros(context, {2 * n, 3}, DType::f32), rows, "t5").wait();
  const bool root = me == n - 1;
  const Tensor all = root ? Tensor::zeros(context, {n, part}, DType::f32) : Tensor();
  ranks->gather(mine.view({1, part}), all, root ? even : Rows(), static_cast<int>(n) - 1, "t6").wait();
  ranks->barrier("t7").wait();
  const Ledger& ledger = ranks->ledger();
  expect(ledger.bytes(CollectiveKind::all_reduce, "t1") == 2 * (2 * (n - 1) * 40 / n), "bytes of all_reduce");
  expect(ledger.bytes(CollectiveKind::reduce_scatter, "t2") == (n - 1) * 36, "bytes of reduce_scatter");
  expect(ledger.bytes(CollectiveKind::all_gather, "t3") == (n - 1) * 36, "bytes of all_gather");
  expect(ledger.bytes(CollectiveKind::broadcast, "t4") == (me == 0 ? (n - 1) * 36 : 0), "bytes of broadcast");
  expect(ledger.bytes(CollectiveKind::all_to_all, "t5") == (n - 1) * 24, "bytes of all_to_all");
  expect(ledger.bytes(CollectiveKind::gather, "t6") == (root ? 0 : 36), "bytes of gather");
  expect(ledger.bytes(CollectiveKind::barrier, "t7") == 0, "bytes of barrier");
  const auto table = ledger.traffic();
  const auto row = std::find_if(table.begin(), table.end(), [](const auto& r) { return r.phase == "t1"; });
  expect(row != table.end() && row->calls == 2 && row->group == "counted", "row of the traffic table");
}

template <class T>
void add_typed(std::vector<CollectiveCase>& cases) {
  const std::string type(name_of(dtype_of<T>));
  cases.push_back({"all_reduce " + type, all_reduce<T>});
  cases.push_back({"reduce_scatter " + type, reduce_scatter<T>});
  cases.push_back({"all_gather " + type, all_gather<T>});
  cases.push_back({"broadcast " + type, broadcast<T>});
  cases.push_back({"all_to_all " + type, all_to_all<T>});
  cases.push_back({"gather " + type, gather<T>});
}

}  // namespace

std::vector<CollectiveCase> collective_cases() {
  std::vector<CollectiveCase> cases;
  add_typed<float>(cases);
  add_typed<double>(cases);
  add_typed<std::int64_t>(cases);
  add_typed<std::int32_t>(cases);
  cases.push_back({"values on the host", host_values});
  cases.push_back({"several in flight", several_in_flight});
  cases.push_back({"groups", groups});
  cases.push_back({"sums in rank order f32", rank_order<float>});
  cases.push_back({"sums in rank order f64", rank_order<double>});
  cases.push_back({"sums in rank order of a group", rank_order_of_group});
  cases.push_back({"traffic", traffic});
  return cases;
}

}  // namespace granule::test
