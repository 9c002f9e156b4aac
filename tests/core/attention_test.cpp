#include "core/ops/attention.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// Plain loops over sequences, heads, queries and the keys that each query may see. These begin at 0, or at
/// the query's first key.
Numbers attended(const Attention& a, const Numbers& qkv, const std::vector<std::int32_t>& first_keys = {}) {
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
        const std::size_t first = first_keys.empty() ? 0 : static_cast<std::size_t>(first_keys[row]);
        Numbers p(i + 1, 0.0);
        double sum = 0.0;
        for (std::size_t j = first; j <= i; ++j) {
          for (std::size_t c = 0; c < size(a.qk_dim); ++c)
            p[j] += qkv[row * W + q_at + c] * qkv[(b * size(a.seq) + j) * W + k_at + c];
          p[j] = std::exp(p[j] / std::sqrt(double(a.qk_dim)));
          sum += p[j];
        }
        for (std::size_t j = first; j <= i; ++j)
          for (std::size_t c = 0; c < size(a.v_dim); ++c)
            y[row * O + head * size(a.v_dim) + c] += p[j] / sum * qkv[(b * size(a.seq) + j) * W + v_at + c];
      }
    }
  }
  return y;
}

/// The first keys of `batch` sequences. Their documents begin at 0 and at each of `starts`.
std::vector<std::int32_t> first_keys(const Attention& a, const std::vector<std::int32_t>& starts) {
  std::vector<std::int32_t> keys;
  for (std::int64_t n = 0; n < a.batch * a.seq; ++n) {
    std::int32_t first = 0;
    for (const std::int32_t start : starts) first = start <= n % a.seq ? start : first;
    keys.push_back(first);
  }
  return keys;
}

std::string text(const Attention& a) {
  return fmt::format("attention batch {} seq {} heads {}/{} widths {}/{}", a.batch, a.seq, a.heads,
                     a.kv_heads, a.qk_dim, a.v_dim);
}

}  // namespace

TEST_CASE("attention keeps an operator's promises: multi-head, grouped, multi-query, unlike widths") {
  const std::vector<Attention> cases{
      {2, 5, 2, 2, 4, 4},      // multi-head
      {1, 7, 4, 2, 6, 3},      // grouped queries, values narrower than keys
      {3, 4, 3, 1, 2, 5},      // multi-query, values wider
      {1, 1, 1, 1, 1, 1},      // one token
      {0, 5, 2, 1, 4, 4},      // no sequence
      {2, 0, 2, 1, 4, 4},      // no token
      {2, 150, 4, 2, 16, 16},  // five blocks of queries, the last one short
      {16, 40, 6, 3, 4, 4},    // so many heads that a thread computes whole ones
      {1, 36, 48, 48, 4, 4},   // the same in one sequence
      {1, 530, 2, 1, 4, 4},    // more keys than a product adds at once
  };
  for (const Attention& a : cases) {
    check_op(
        {.name = text(a), .bf16 = true}, a,
        [&](const std::vector<Numbers>& in) { return attended(a, in[0]); },
        variable({a.batch * a.seq, a.width()}));
  }
}

TEST_CASE("attention inside documents keeps an operator's promises") {
  struct Case {
    Attention op;
    std::vector<std::int32_t> starts;
  };
  const std::vector<Case> cases{
      {{2, 5, 2, 2, 4, 4}, {2}},                // two documents
      {{1, 7, 4, 2, 6, 3}, {1, 2, 6}},          // some have one token
      {{3, 4, 3, 1, 2, 5}, {}},                 // one document, so nothing is masked
      {{1, 1, 1, 1, 1, 1}, {}},                 // one token
      {{0, 5, 2, 1, 4, 4}, {1}},                // no sequence
      {{2, 0, 2, 1, 4, 4}, {}},                 // no token
      {{2, 150, 4, 2, 16, 16}, {30, 64, 140}},  // boundaries within and between blocks of queries
      {{1, 200, 2, 1, 8, 8}, {100}},            // blocks whose keys begin after earlier blocks
      {{16, 40, 6, 3, 4, 4}, {7, 33}},          // so many heads that a thread computes whole ones
      {{1, 560, 2, 1, 4, 4}, {37}},             // more keys than a product adds at once
  };
  for (const auto& [op, starts] : cases) {
    const std::vector<std::int32_t> keys = first_keys(op, starts);
    check_op(
        {.name = fmt::format("{} in {} documents", text(op), starts.size() + 1), .bf16 = true}, op,
        [&, a = op](const std::vector<Numbers>& in) { return attended(a, in[0], keys); },
        variable({op.batch * op.seq, op.width()}), plain_ids({op.batch * op.seq}, keys));
  }
}

TEST_CASE("attention with any first keys, rising or not, is softmax over the keys from there on") {
  test::TestContext context;
  const Attention a{2, 140, 2, 1, 8, 8};
  std::vector<std::int32_t> keys;
  for (std::int64_t n = 0; n < 2 * a.seq; ++n)
    keys.push_back(static_cast<std::int32_t>(n * 37 % (n % a.seq + 1)));
  const Numbers x = normal_values(2 * a.seq * a.width(), 1);
  const Tensor y = a.forward(nullptr, tensor_of(context, {2 * a.seq, a.width()}, DType::f64, x),
                             ids_of(context, {2 * a.seq}, keys));
  CHECK(relative_difference(values_of(y), attended(a, x, keys)) <= 1e-14);
}

TEST_CASE("attention looks neither at other documents of its row nor lets gradients into them") {
  test::TestContext context;
  const Attention a{1, 100, 2, 1, 8, 8};
  const std::vector<std::int32_t> keys = first_keys(a, {70});
  Numbers x = normal_values(a.seq * a.width(), 1);
  const auto run = [&] {
    Attention::Saved saved;
    const Tensor in = tensor_of(context, {a.seq, a.width()}, DType::f64, x);
    const Tensor y = a.forward(&saved, in, ids_of(context, {a.seq}, keys));
    Numbers dy(static_cast<std::size_t>(y.numel()), 0.0);
    std::fill(dy.begin() + 70 * a.heads * a.v_dim, dy.end(), 1.0);  // only the second document's outputs
    const Tensor dx = in.empty_like(in.shape());
    a.backward(saved, tensor_of(context, y.shape(), DType::f64, dy), {dx, 0.0});
    return std::pair{values_of(y), values_of(dx)};
  };
  const auto [before, gradient] = run();
  const auto border = static_cast<std::ptrdiff_t>(70 * a.width());
  CHECK(std::all_of(gradient.begin(), gradient.begin() + border, [](double d) { return d == 0.0; }));
  CHECK(std::any_of(gradient.begin() + border, gradient.end(), [](double d) { return d != 0.0; }));
  std::fill(x.begin(), x.begin() + border, 1e6);
  const Numbers after = run().first;
  const auto rows = static_cast<std::ptrdiff_t>(70 * a.heads * a.v_dim);
  CHECK(std::equal(before.begin() + rows, before.end(), after.begin() + rows));
  CHECK_FALSE(std::equal(before.begin(), before.begin() + rows, after.begin()));
}

TEST_CASE("attention refuses first keys behind a token, before its row, or of another number") {
  test::TestContext context;
  const Attention a{2, 3, 1, 1, 2, 2};
  const auto run = [&](const std::vector<std::int32_t>& keys) {
    const Tensor qkv = Tensor::zeros(context, {6, a.width()}, DType::f32);
    // A device reports it at the wait.
    return values_of(a.forward(nullptr, qkv, ids_of(context, {std::ssize(keys)}, keys)));
  };
  CHECK_NOTHROW(run({0, 1, 2, 0, 0, 0}));
  CHECK_THROWS_WITH(run({0, 1, 2, 0, 2, 0}), Catch::Contains("token 1 of a sequence sees from 2 on"));
  CHECK_THROWS_WITH(run({0, -1, 2, 0, 0, 0}), Catch::Contains("sees from -1 on"));
  CHECK_THROWS_WITH(run({0, 0, 0}), Catch::Contains("[3] first keys for 6 tokens"));
}

TEST_CASE("attention looks at nothing behind its own token") {
  test::TestContext context;
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

TEST_CASE("attention refuses heads that do not divide and rows of another width") {
  test::TestContext context;
  const auto run = [&](const Attention& a, const Shape& shape) {
    return a.forward(nullptr, Tensor::zeros(context, shape, DType::f32));
  };
  CHECK_THROWS_WITH(run({1, 2, 3, 2, 4, 4}, {2, 28}),
                    Catch::Contains("attention: 3 heads over 2 key-value heads"));
  CHECK_THROWS_WITH(run({1, 2, 2, 2, 4, 4}, {2, 23}), Catch::Contains("[2, 23]"));
}
