#include "moe/routing/routing.hpp"

#include <cmath>

#include "moe/routing/router_record.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;

namespace {

template <class T>
std::vector<T> all(const Tensor& tensor) {
  const auto span = tensor.span<const T>();
  return {span.begin(), span.end()};
}

}  // namespace

TEST_CASE("copies of tokens are sorted by expert and within an expert by token") {
  Context context;
  const Routing routing = sort_by_expert(ids_of(context, {3, 2}, Ids{2, 0, 0, 3, 2, 3}), 5);
  CHECK(routing.rows() == 6);
  CHECK(routing.experts() == 5);
  CHECK(all<std::int64_t>(routing.offset_E1) == std::vector<std::int64_t>{0, 2, 2, 4, 6, 6});
  CHECK(all<std::int32_t>(routing.token_R) == std::vector<std::int32_t>{0, 1, 0, 2, 1, 2});
  CHECK(all<std::int32_t>(routing.row_NK) == std::vector<std::int32_t>{2, 0, 1, 4, 3, 5});
}

TEST_CASE("copies that are sent nowhere have no row") {
  Context context;
  const Routing routing = sort_by_expert(ids_of(context, {3, 2}, Ids{1, -1, -1, -1, 0, 1}), 2);
  CHECK(routing.rows() == 3);
  CHECK(all<std::int64_t>(routing.offset_E1) == std::vector<std::int64_t>{0, 1, 3});
  CHECK(all<std::int32_t>(routing.token_R) == Ids{2, 0, 2});
  CHECK(all<std::int32_t>(routing.row_NK) == Ids{1, -1, -1, -1, 0, 2});
  CHECK_THROWS_AS(sort_by_expert(ids_of(context, {1, 1}, Ids{2}), 2), Error);
  CHECK_THROWS_AS(sort_by_expert(ids_of(context, {1, 1}, Ids{-2}), 2), Error);
}
