#include "core/ops/cached_attention.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("attention with a cache equals attention over the whole, in pieces of any size") {
  test::TestContext context({.threads = 2});
  const Attention whole{1, 90, 4, 2, 6, 5};
  const std::int64_t W = whole.width();
  const Tensor x = tensor_of(context, {whole.seq, W}, DType::f64, normal_values(whole.seq * W, 1));
  const Numbers expected = values_of(whole.forward(nullptr, x));
  KvCache cache{Tensor::empty(context, {whole.seq, 2 * 6}, DType::f64),
                Tensor::empty(context, {whole.seq, 2 * 5}, DType::f64)};
  Numbers pieces;
  for (const std::int64_t rows : {1, 70, 1, 1, 17}) {
    Attention part = whole;
    part.seq = rows;
    const Numbers y = values_of(attend_with_cache(part, x.slice(cache.length * W, {rows, W}), cache));
    pieces.insert(pieces.end(), y.begin(), y.end());
  }
  CHECK(relative_difference(pieces, expected) <= 1e-14);
  Attention more = whole;
  more.seq = 1;
  CHECK_THROWS_WITH(attend_with_cache(more, x.slice(0, {1, W}), cache),
                    Catch::Contains("attention: 91 tokens, the cache holds 90"));
}
