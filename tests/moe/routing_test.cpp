#include "moe/routing.hpp"

#include <cmath>

#include <catch2/catch.hpp>

#include "moe/router_record.hpp"
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

TEST_CASE("top-k lists experts by falling score and breaks ties by the lower id") {
  Context context;
  const Tensor scores = tensor_of(context, {3, 4}, DType::f64,
                                  std::vector<double>{0.1, 0.4, 0.2, 0.3,  //
                                                      0.5, 0.5, 0.5, 0.5,  //
                                                      0.0, 0.9, 0.9, 1.0});
  CHECK(all<std::int32_t>(select_top_k(scores, 2)) == std::vector<std::int32_t>{1, 3, 0, 1, 3, 1});
  CHECK(all<std::int32_t>(select_top_k(scores, 4)) ==
        std::vector<std::int32_t>{1, 3, 2, 0, 0, 1, 2, 3, 3, 1, 2, 0});
  CHECK_THROWS_AS(select_top_k(scores, 5), Error);
  CHECK_THROWS_AS(select_top_k(scores, 0), Error);
}

TEST_CASE("choices are counted by unit") {
  Context context;
  const Tensor ids = ids_of(context, {4, 2}, Ids{0, 1, 0, 2, 2, 1, 2, 0});
  CHECK(all<std::int64_t>(count_choices(ids, 3, 1)) == std::vector<std::int64_t>{3, 2, 3});
  CHECK(all<std::int64_t>(count_choices(ids, 3, 2)) == std::vector<std::int64_t>{2, 1, 1, 1, 1, 2});
  CHECK_THROWS_AS(count_choices(ids, 3, 3), Error);
  CHECK_THROWS_AS(count_choices(ids, 2, 1), Error);
}

TEST_CASE("copies of tokens are sorted by expert and within an expert by token") {
  Context context;
  const Routing routing = sort_by_expert(ids_of(context, {3, 2}, Ids{2, 0, 0, 3, 2, 3}), 5);
  CHECK(routing.rows() == 6);
  CHECK(routing.experts() == 5);
  CHECK(all<std::int64_t>(routing.offset_E1) == std::vector<std::int64_t>{0, 2, 2, 4, 6, 6});
  CHECK(all<std::int32_t>(routing.token_R) == std::vector<std::int32_t>{0, 1, 0, 2, 1, 2});
  CHECK(all<std::int32_t>(routing.row_NK) == std::vector<std::int32_t>{2, 0, 1, 4, 3, 5});
}

TEST_CASE("load statistics say how far a load is from balanced") {
  const std::vector<std::int64_t> even{5, 5, 5, 5}, one{0, 0, 8, 0};
  CHECK(load_statistics(even).max_over_mean == 1.0);
  CHECK(load_statistics(even).cv == 0.0);
  CHECK(load_statistics(even).dead == 0);
  CHECK(load_statistics(one).max_over_mean == 4.0);
  CHECK(load_statistics(one).cv == Approx(std::sqrt(3.0)));  // deviations 6, 2, 2, 2 of a mean of 2
  CHECK(load_statistics(one).dead == 3);
}
