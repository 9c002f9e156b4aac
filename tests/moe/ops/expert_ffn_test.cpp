#include "moe/ops/expert_ffn.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct ExpertCase {
  std::string name;
  std::int64_t experts, d, f;
  std::vector<std::int64_t> offsets;
  [[nodiscard]] std::int64_t rows() const { return offsets.back(); }
};

Numbers expert_outputs(const ExpertCase& c, const Numbers& x, const Numbers& w13, const Numbers& w2) {
  Numbers y(std::size_t(c.rows() * c.d), 0.0);
  for (std::int64_t e = 0; e < c.experts; ++e) {
    for (std::int64_t r = c.offsets[std::size_t(e)]; r < c.offsets[std::size_t(e) + 1]; ++r) {
      for (std::int64_t i = 0; i < c.f; ++i) {
        double gate = 0.0, up = 0.0;
        for (std::int64_t j = 0; j < c.d; ++j) {
          gate += w13[std::size_t((e * 2 * c.f + i) * c.d + j)] * x[std::size_t(r * c.d + j)];
          up += w13[std::size_t((e * 2 * c.f + c.f + i) * c.d + j)] * x[std::size_t(r * c.d + j)];
        }
        const double a = gate / (1.0 + std::exp(-gate)) * up;
        for (std::int64_t o = 0; o < c.d; ++o)
          y[std::size_t(r * c.d + o)] += w2[std::size_t((e * c.d + o) * c.f + i)] * a;
      }
    }
  }
  return y;
}

/// How many elements are further from the expected ones than `bound` times the largest of those. NaN is.
std::int64_t count_beyond(double bound, const Numbers& actual, const Numbers& expected) {
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  std::int64_t count = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    count += std::abs(expected[i] - actual[i]) <= bound * largest ? 0 : 1;
  return count;
}

}  // namespace

TEST_CASE("expert_ffn: it keeps an operator's promises: uneven, idle and one-hot loads") {
  const std::vector<ExpertCase> cases{
      {"uneven with an idle expert", 3, 4, 3, {0, 3, 3, 5}},
      {"all rows to the last", 3, 5, 2, {0, 0, 0, 4}},
      {"all rows to the first", 2, 3, 4, {0, 4, 4}},
      {"no row", 2, 3, 2, {0, 0, 0}},
      {"rows of 16 bytes and more", 3, 16, 8, {0, 3, 3, 5}},
      {"one of everything", 1, 1, 1, {0, 1}},
      {"as many as three threads share", 9, 4, 3, {0, 4, 6, 9, 9, 13, 17, 20, 24, 28}}};
  for (const ExpertCase& c : cases) {
    check_op(
        {.name = "expert_ffn " + c.name, .bf16 = true}, ExpertFfn{},
        [&](const std::vector<Numbers>& in) { return expert_outputs(c, in[0], in[1], in[2]); },
        variable({c.rows(), c.d}), parameter({c.experts, 2 * c.f, c.d}), parameter({c.experts, c.d, c.f}),
        c.offsets);
  }
}

TEST_CASE("expert_ffn: more rows and wider networks than a piece holds give what plain loops give") {
  const ExpertCase c{"", 2, 300, 7, {0, 520, 525}};
  TestContext context({.threads = 2, .poison = Poison::yes, .step_memory = std::int64_t{1} << 28});
  const Numbers x = normal_values(c.rows() * c.d, 1), w13 = normal_values(c.experts * 2 * c.f * c.d, 2),
                w2 = normal_values(c.experts * c.d * c.f, 3);
  const Tensor y = ExpertFfn{}.forward(nullptr, tensor_of(context, {c.rows(), c.d}, DType::f64, x),
                                       tensor_of(context, {2, 2 * c.f, c.d}, DType::f64, w13),
                                       tensor_of(context, {2, c.d, c.f}, DType::f64, w2), c.offsets);
  const Numbers expected = expert_outputs(c, x, w13, w2), actual = values_of(y);
  CHECK(count_beyond(1e-12, actual, expected) == 0);
}

TEST_CASE("expert_ffn: threads that share experts give the bits of those that share pieces of them") {
  const ExpertCase c{"", 4, 300, 7, {0, 300, 580, 850, 1150}};
  const auto gradients = [&](int threads) {
    TestContext context({.threads = threads, .poison = Poison::yes, .step_memory = std::int64_t{1} << 28});
    const auto tensor = [&](const Shape& shape, std::uint64_t seed) {
      return tensor_of(context, shape, DType::f32, normal_values(shape.numel(), seed));
    };
    const Tensor x = tensor({c.rows(), c.d}, 1), w13 = tensor({4, 2 * c.f, c.d}, 2),
                 w2 = tensor({4, c.d, c.f}, 3), dy = tensor(x.shape(), 4);
    ExpertFfn::Saved saved;
    CHECK(ExpertFfn{}.forward(&saved, x, w13, w2, c.offsets).shape() == x.shape());
    std::vector<Grad> grads;
    for (const Tensor* const input : {&x, &w13, &w2})
      grads.push_back({input->empty_like(input->shape()), 0.0});
    ExpertFfn{}.backward(saved, w13, w2, dy, grads[0], grads[1], grads[2]);
    std::vector<Numbers> values;
    for (const Grad& grad : grads) values.push_back(values_of(grad.dst));
    return values;
  };
  // Two threads would wait for each other if they shared four experts.
  CHECK(gradients(1) == gradients(2));
}

TEST_CASE("expert_ffn: in bf16, rows that begin at multiples of 16 bytes give what plain loops give") {
  // On a GPU such products are one group. check_op() has tensors at odd places, which are not.
  const ExpertCase c{"", 3, 16, 8, {0, 5, 5, 12}};
  TestContext context({.threads = 2, .poison = Poison::yes, .step_memory = std::int64_t{1} << 28});
  const auto tensor = [&](const Shape& shape, std::uint64_t seed) {
    return tensor_of(context, shape, DType::bf16, normal_values(shape.numel(), seed));
  };
  const Tensor x = tensor({c.rows(), c.d}, 1), w13 = tensor({c.experts, 2 * c.f, c.d}, 2),
               w2 = tensor({c.experts, c.d, c.f}, 3);
  const Numbers actual = values_of(ExpertFfn{}.forward(nullptr, x, w13, w2, c.offsets)),
                expected = expert_outputs(c, values_of(x), values_of(w13), values_of(w2));
  // h, its SwiGLU and y are rounded to 2⁻⁹ of their size, and 8 terms are added.
  CHECK(count_beyond(0.01, actual, expected) == 0);
}
