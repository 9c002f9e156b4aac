#include "core/ops/attention.hpp"

#include <cmath>

#include <catch2/catch.hpp>

#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// Plain loops over sequences, heads, queries and the keys each may see.
Numbers attended(const Attention& a, const Numbers& qkv) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  const std::size_t W = size(a.width()), O = size(a.heads * a.v_dim);
  Numbers y(size(a.batch * a.seq) * O, 0.0);
  for (std::size_t b = 0; b < size(a.batch); ++b) {
    for (std::size_t head = 0; head < size(a.heads); ++head) {
      const std::size_t kv = head / size(a.heads / a.kv_heads);
      const std::size_t q_at = head * size(a.qk_dim), k_at = size((a.heads) * a.qk_dim) + kv * size(a.qk_dim);
      const std::size_t v_at = size((a.heads + a.kv_heads) * a.qk_dim) + kv * size(a.v_dim);
      for (std::size_t i = 0; i < size(a.seq); ++i) {
        const std::size_t row = b * size(a.seq) + i;
        Numbers p(i + 1, 0.0);
        double sum = 0.0;
        for (std::size_t j = 0; j <= i; ++j) {
          for (std::size_t c = 0; c < size(a.qk_dim); ++c)
            p[j] += qkv[row * W + q_at + c] * qkv[(b * size(a.seq) + j) * W + k_at + c];
          p[j] = std::exp(p[j] / std::sqrt(double(a.qk_dim)));
          sum += p[j];
        }
        for (std::size_t j = 0; j <= i; ++j)
          for (std::size_t c = 0; c < size(a.v_dim); ++c)
            y[row * O + head * size(a.v_dim) + c] += p[j] / sum * qkv[(b * size(a.seq) + j) * W + v_at + c];
      }
    }
  }
  return y;
}

std::string text(const Attention& a) {
  return fmt::format("attention batch {} seq {} heads {}/{} widths {}/{}", a.batch, a.seq, a.heads,
                     a.kv_heads, a.qk_dim, a.v_dim);
}

}  // namespace

TEST_CASE("attention keeps an operator's promises: multi-head, grouped, multi-query, unlike widths") {
  const std::vector<Attention> cases{
      {2, 5, 2, 2, 4, 4},     // multi-head
      {1, 7, 4, 2, 6, 3},     // grouped queries, values narrower than keys
      {3, 4, 3, 1, 2, 5},     // multi-query, values wider
      {1, 1, 1, 1, 1, 1},     // one token
      {0, 5, 2, 1, 4, 4},     // no sequence
      {2, 0, 2, 1, 4, 4},     // no token
      {2, 150, 4, 2, 16, 16}  // three blocks of queries, the last one short
  };
  for (const Attention& a : cases) {
    check_op(
        {text(a)}, a, [&](const std::vector<Numbers>& in) { return attended(a, in[0]); },
        variable({a.batch * a.seq, a.width()}));
  }
}

TEST_CASE("attention looks at nothing behind its own token") {
  Context context;
  const Attention a{1, 100, 2, 1, 8, 8};
  Numbers x = normal_values(a.seq * a.width(), 1);
  const auto run = [&] {
    return values_of(a.forward(nullptr, tensor_of(context, {a.seq, a.width()}, DType::f64, x)));
  };
  const Numbers before = run();
  const auto cut = static_cast<std::size_t>(70 * a.width());
  for (std::size_t i = cut; i < x.size(); ++i) x[i] = 1e6;
  const Numbers after = run();
  const auto rows = static_cast<std::ptrdiff_t>(70 * a.heads * a.v_dim);
  CHECK(std::equal(before.begin(), before.begin() + rows, after.begin()));
  CHECK(before != after);
}

TEST_CASE("attention with a cache equals attention over the whole, in pieces of any size") {
  Context context({.threads = 2});
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

TEST_CASE("attention refuses heads that do not divide and rows of another width") {
  Context context;
  const auto run = [&](const Attention& a, const Shape& shape) {
    return a.forward(nullptr, Tensor::zeros(context, shape, DType::f32));
  };
  CHECK_THROWS_WITH(run({1, 2, 3, 2, 4, 4}, {2, 28}),
                    Catch::Contains("attention: 3 heads over 2 key-value heads"));
  CHECK_THROWS_WITH(run({1, 2, 2, 2, 4, 4}, {2, 23}), Catch::Contains("[2, 23]"));
}
