#include "moe/experts/row_order.hpp"

#include "core/transfer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;

namespace {

template <class T>
std::vector<T> all(const Tensor& tensor) {
  const HostCopy<T> copy = read_back<T>(tensor);
  return {copy.get().begin(), copy.get().end()};
}

std::vector<std::int64_t> offsets_of(const RowOrder& order) {
  const auto offsets = order.offset_E1.get();
  return {offsets.begin(), offsets.end()};
}

}  // namespace

TEST_CASE("row_order: copies of tokens are sorted by expert and within an expert by token") {
  TestContext context;
  const RowOrder order = sort_by_expert(ids_of(context, {3, 2}, Ids{2, 0, 0, 3, 2, 3}), 5, Sent::all);
  CHECK(order.rows() == 6);
  CHECK(order.experts() == 5);
  CHECK(offsets_of(order) == std::vector<std::int64_t>{0, 2, 2, 4, 6, 6});
  CHECK(all<std::int32_t>(order.token_R) == std::vector<std::int32_t>{0, 1, 0, 2, 1, 2});
  CHECK(all<std::int32_t>(order.row_NK) == std::vector<std::int32_t>{2, 0, 1, 4, 3, 5});
}

TEST_CASE("row_order: copies that are sent nowhere have no row") {
  TestContext context;
  const RowOrder order = sort_by_expert(ids_of(context, {3, 2}, Ids{1, -1, -1, -1, 0, 1}), 2, Sent::some);
  CHECK(order.rows() == 3);
  CHECK(offsets_of(order) == std::vector<std::int64_t>{0, 1, 3});
  CHECK(all<std::int32_t>(order.token_R) == Ids{2, 0, 2});
  CHECK(all<std::int32_t>(order.row_NK) == Ids{1, -1, -1, -1, 0, 2});
  CHECK_THROWS_AS(sort_by_expert(ids_of(context, {1, 1}, Ids{2}), 2, Sent::some), Error);
  CHECK_THROWS_AS(sort_by_expert(ids_of(context, {1, 1}, Ids{-2}), 2, Sent::some), Error);
  const Ids nowhere{-1};
  CHECK_THROWS_AS(integers_of(sort_by_expert(ids_of(context, {1, 1}, nowhere), 2, Sent::all).row_NK), Error);
}

TEST_CASE("row_order: row order: if all copies are sent, nothing is read from the device to sort them") {
  TestContext context;
  const Tensor ids = ids_of(context, {3, 2}, Ids{2, 0, 0, 3, 2, 3});
  const RowOrder order = sort_by_expert(ids, 5, Sent::all);
  CHECK(context.profile().waits() == 0);
  static_cast<void>(order.offset_E1.get());
  CHECK(context.profile().waits() == 1);
}
