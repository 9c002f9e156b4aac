#include "core/ops/cached_attention.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// Attends to a sequence in pieces of these rows and compares with attention over all of it.
void check_pieces(test::TestContext& context, DType dtype, const std::vector<std::int64_t>& sizes,
                  KvCache& cache, const Attention& whole, const Tensor& x, double tolerance) {
  const std::int64_t W = whole.width();
  const Numbers expected = values_of(whole.forward(nullptr, x));
  cache = {Tensor::empty(context, {whole.seq, whole.kv_heads * whole.qk_dim}, dtype),
           Tensor::empty(context, {whole.seq, whole.kv_heads * whole.v_dim}, dtype)};
  Numbers pieces;
  for (const std::int64_t rows : sizes) {
    Attention part = whole;
    part.seq = rows;
    const Numbers y = values_of(attend_with_cache(part, x.slice(cache.length * W, {rows, W}), cache));
    pieces.insert(pieces.end(), y.begin(), y.end());
  }
  CHECK(relative_difference(pieces, expected) <= tolerance);
}

Tensor some_rows(test::TestContext& context, DType dtype, const Attention& a) {
  return tensor_of(context, {a.seq, a.width()}, dtype, normal_values(a.seq * a.width(), 1));
}

}  // namespace

TEST_CASE(
    "attention with a cache equals attention over the whole, with more keys than a product adds at once") {
  test::TestContext context({.threads = 2});
  const Attention whole{1, 560, 2, 1, 6, 5};
  KvCache cache;
  // Both round scores, exponentials and sums of 560 terms to float32, in another order.
  check_pieces(context, DType::f32, {500, 1, 30, 1, 28}, cache, whole, some_rows(context, DType::f32, whole),
               2e-6);
}

TEST_CASE("attention with a cache equals attention over the whole, in pieces of any size") {
  test::TestContext context({.threads = 2});
  const Attention whole{1, 90, 4, 2, 6, 5};
  const std::int64_t W = whole.width();
  const Tensor x = some_rows(context, DType::f64, whole);
  KvCache cache;
  check_pieces(context, DType::f64, {1, 70, 1, 1, 17}, cache, whole, x, 1e-14);
  Attention more = whole;
  more.seq = 1;
  CHECK_THROWS_WITH(attend_with_cache(more, x.slice(0, {1, W}), cache),
                    Catch::Contains("attention: 91 tokens, the cache holds 90"));
}
