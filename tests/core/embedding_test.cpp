#include "core/ops/embedding.hpp"

#include "core/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

void check_embedding(std::int64_t V, std::int64_t D, const std::vector<std::int32_t>& ids) {
  const Reference reference = [&, D](const std::vector<Numbers>& in) {
    Numbers y;
    for (const std::int32_t id : ids)
      for (std::int64_t j = 0; j < D; ++j) y.push_back(in[0][static_cast<std::size_t>(id * D + j)]);
    return y;
  };
  const auto N = static_cast<std::int64_t>(ids.size());
  check_op({.name = fmt::format("embedding {} {} {}", V, D, N), .bf16 = true}, Embedding{}, reference,
           parameter({V, D}), plain_ids({N}, ids));
}

}  // namespace

TEST_CASE("embedding keeps an operator's promises, with ids repeated and ids unused") {
  check_embedding(5, 3, {4, 0, 4, 4, 2});
  check_embedding(1, 1, {0, 0, 0});
  check_embedding(4, 7, {});
  std::vector<std::int32_t> many;
  for (std::uint64_t i = 0; i < 300; ++i)
    many.push_back(static_cast<std::int32_t>(RandomStream(1, "ids").below(20, i)));
  check_embedding(20, 130, many);
}

TEST_CASE("embedding refuses an id outside the table and says which row has it") {
  test::TestContext context;
  const Tensor table = Tensor::zeros(context, {5, 2}, DType::f32);
  const auto look_up = [&](std::int32_t id) {
    const Tensor ids = ids_of(context, {2}, std::vector<std::int32_t>{0, id});
    return values_of(Embedding{}.forward(nullptr, table, ids));  // a device reports it at the wait
  };
  CHECK_NOTHROW(look_up(4));
  CHECK_THROWS_WITH(look_up(5), Catch::Contains("embedding: id 5 of row 1, the table has 5 rows"));
  CHECK_THROWS_WITH(look_up(-1), Catch::Contains("id -1"));
}
