// The operators of a mixture against plain float64 loops, by central differences, and with every promise of
// an operator (tests/support/op_case.hpp).
#include <cmath>
#include <numeric>

#include <catch2/catch.hpp>

#include "moe/ops/balance_loss.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "moe/ops/gate_weights.hpp"
#include "moe/ops/permute.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Ids = std::vector<std::int32_t>;

std::size_t size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

/// Scores are probabilities: positive, so that a sum of a few is no cancellation.
Numbers probabilities(std::int64_t n, std::uint64_t seed) {
  Numbers values = normal_values(n, seed);
  for (double& value : values) value = 0.05 + 0.9 / (1.0 + std::exp(-value));
  return values;
}

auto plain_counts(std::int64_t units, std::int64_t experts, const std::vector<std::int64_t>& counts) {
  return plain([=](Context& context, DType) {
    Tensor tensor = Tensor::empty(context, {units, experts}, DType::i64);
    std::copy(counts.begin(), counts.end(), tensor.data<std::int64_t>());
    return tensor;
  });
}

auto plain_routing(std::int64_t tokens, std::int64_t k, std::int64_t experts, const Ids& ids) {
  return plain([=](Context& context, DType) {
    return sort_by_expert(ids_of(context, {tokens, k}, ids), experts);
  });
}

auto plain_offsets(const std::vector<std::int64_t>& offsets) {
  return plain([=](Context& context, DType) {
    Tensor tensor = Tensor::empty(context, {static_cast<std::int64_t>(offsets.size())}, DType::i64);
    std::copy(offsets.begin(), offsets.end(), tensor.data<std::int64_t>());
    return tensor;
  });
}

struct GateCase {
  std::string name;
  std::int64_t tokens, experts, k;
  bool normalise;
  Ids ids;
};

Numbers gated(const GateCase& c, const Numbers& s) {
  Numbers w;
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    double sum = 0.0;
    for (std::int64_t j = 0; j < c.k; ++j) sum += s[size(t * c.experts + c.ids[size(t * c.k + j)])];
    const bool divide = c.normalise && c.k > 1;
    for (std::int64_t j = 0; j < c.k; ++j) {
      w.push_back(s[size(t * c.experts + c.ids[size(t * c.k + j)])] / (divide ? sum + 1e-20 : 1.0));
    }
  }
  return w;
}

struct ExpertCase {
  std::string name;
  std::int64_t experts, d, f;
  std::vector<std::int64_t> offsets;
  [[nodiscard]] std::int64_t rows() const { return offsets.back(); }
};

Numbers expert_outputs(const ExpertCase& c, const Numbers& x, const Numbers& w13, const Numbers& w2) {
  Numbers y(size(c.rows() * c.d), 0.0);
  for (std::int64_t e = 0; e < c.experts; ++e) {
    for (std::int64_t r = c.offsets[size(e)]; r < c.offsets[size(e) + 1]; ++r) {
      for (std::int64_t i = 0; i < c.f; ++i) {
        double gate = 0.0, up = 0.0;
        for (std::int64_t j = 0; j < c.d; ++j) {
          gate += w13[size((e * 2 * c.f + i) * c.d + j)] * x[size(r * c.d + j)];
          up += w13[size((e * 2 * c.f + c.f + i) * c.d + j)] * x[size(r * c.d + j)];
        }
        const double a = gate / (1.0 + std::exp(-gate)) * up;
        for (std::int64_t o = 0; o < c.d; ++o) y[size(r * c.d + o)] += w2[size((e * c.d + o) * c.f + i)] * a;
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("gate weights keep an operator's promises, normalised or not") {
  const std::vector<GateCase> cases{{"plain top-2", 3, 4, 2, false, {0, 3, 2, 1, 3, 0}},
                                    {"normalised top-3", 2, 5, 3, true, {4, 0, 2, 1, 2, 3}},
                                    {"all experts, normalised", 2, 2, 2, true, {1, 0, 0, 1}},
                                    {"top-1, where normalising has no effect", 3, 4, 1, true, {2, 0, 2}},
                                    {"no token", 0, 4, 2, true, {}},
                                    {"one expert", 2, 1, 1, false, {0, 0}}};
  for (const GateCase& c : cases) {
    check_op(
        {"gate_weights " + c.name}, GateWeights{c.normalise},
        [&](const std::vector<Numbers>& in) { return gated(c, in[0]); },
        variable({c.tokens, c.experts}, probabilities(c.tokens * c.experts, 5)),
        plain_ids({c.tokens, c.k}, c.ids));
  }
}

TEST_CASE("the balance loss keeps an operator's promises, by sequence and by micro-batch") {
  // 4 tokens, 3 experts, top-2: the first unit chose (0,1) (0,1), the second (0,2) (1,2).
  const auto check = [](const std::string& name, std::int64_t units,
                        const std::vector<std::int64_t>& counts) {
    check_op(
        {"balance_loss " + name}, BalanceLoss{2},
        [&](const std::vector<Numbers>& in) {
          const std::int64_t per_unit = 4 / units;
          double mean = 0.0;
          for (std::int64_t u = 0; u < units; ++u) {
            for (std::int64_t e = 0; e < 3; ++e) {
              double p = 0.0;
              for (std::int64_t t = 0; t < per_unit; ++t)
                p += in[0][size((u * per_unit + t) * 3 + e)] / double(per_unit);
              const double f = 3.0 / (2.0 * double(per_unit)) * double(counts[size(u * 3 + e)]);
              mean += f * p / double(units);
            }
          }
          return Numbers{mean};
        },
        variable({4, 3}, probabilities(12, 6)), plain_counts(units, 3, counts));
  };
  check("by sequence", 2, {2, 2, 0, 1, 1, 2});
  check("by micro-batch", 1, {3, 3, 2});
}

TEST_CASE("the balance loss of a case worked by hand") {
  // One sequence of 2 tokens, 2 experts, top-1, both tokens to expert 0: f = 2/(1·2) · (2, 0) = (2, 0).
  // s = (0.9 0.1; 0.7 0.3): P = (0.8, 0.2). L = 2 · 0.8 + 0 · 0.2 = 1.6. dL/ds = f/T = (1 0; 1 0).
  Context context;
  const Tensor scores = tensor_of(context, {2, 2}, DType::f64, Numbers{0.9, 0.1, 0.7, 0.3});
  Tensor counts = Tensor::zeros(context, {1, 2}, DType::i64);
  counts.data<std::int64_t>()[0] = 2;
  BalanceLoss::Saved saved;
  const Tensor loss = BalanceLoss{1}.forward(&saved, scores, counts);
  CHECK(loss.item<double>() == Approx(1.6).epsilon(1e-15));
  const Tensor ds = scores.empty_like(scores.shape());
  BalanceLoss{1}.backward(saved, tensor_of(context, {1}, DType::f64, Numbers{1.0}), {ds, 0.0});
  CHECK(values_of(ds) == Numbers{1.0, 0.0, 1.0, 0.0});
}

TEST_CASE("a balanced load has a balance loss of 1") {
  Context context;
  const std::int64_t tokens = 8, experts = 4;
  const Tensor scores =
      tensor_of(context, {tokens, experts}, DType::f64, Numbers(size(tokens * experts), 0.25));
  Tensor counts = Tensor::empty(context, {2, experts}, DType::i64);
  for (auto& count : counts.span<std::int64_t>()) count = 2;  // 4 tokens, top-2, over 4 experts
  CHECK(BalanceLoss{2}.forward(nullptr, scores, counts).item<double>() == Approx(1.0).epsilon(1e-15));
}

TEST_CASE("dispatch and combine keep an operator's promises: mixed, one-hot, idle experts, no token") {
  struct Case {
    std::string name;
    std::int64_t tokens, k, experts;
    Ids ids;
  };
  const std::vector<Case> cases{{"mixed", 4, 2, 3, {2, 0, 1, 2, 0, 1, 2, 1}},
                                {"all to one expert", 3, 1, 4, {2, 2, 2}},
                                {"idle experts", 2, 2, 6, {5, 0, 0, 5}},
                                {"no token", 0, 2, 3, {}}};
  const std::int64_t d = 5;
  for (const Case& c : cases) {
    const auto routing = plain_routing(c.tokens, c.k, c.experts, c.ids);
    // Rows sorted by expert, ties in the order of tokens.
    std::vector<std::size_t> copies(c.ids.size());
    std::iota(copies.begin(), copies.end(), 0U);
    std::stable_sort(copies.begin(), copies.end(), [&](auto a, auto b) { return c.ids[a] < c.ids[b]; });
    check_op(
        {"dispatch " + c.name}, Dispatch{},
        [&](const std::vector<Numbers>& in) {
          Numbers rows;
          for (const std::size_t copy : copies) {
            for (std::int64_t i = 0; i < d; ++i) rows.push_back(in[0][copy / size(c.k) * size(d) + size(i)]);
          }
          return rows;
        },
        variable({c.tokens, d}), routing);
    check_op(
        {"combine " + c.name}, Combine{},
        [&](const std::vector<Numbers>& in) {
          Numbers y(size(c.tokens * d), 0.0);
          for (std::size_t row = 0; row < copies.size(); ++row) {
            for (std::int64_t i = 0; i < d; ++i) {
              y[copies[row] / size(c.k) * size(d) + size(i)] +=
                  in[1][copies[row]] * in[0][row * size(d) + size(i)];
            }
          }
          return y;
        },
        variable({c.tokens * c.k, d}), variable({c.tokens, c.k}), routing);
  }
}

TEST_CASE("the experts' networks keep an operator's promises: uneven, idle, one-hot and long loads") {
  const std::vector<ExpertCase> cases{{"uneven with an idle expert", 3, 4, 3, {0, 3, 3, 5}},
                                      {"all rows to the last", 3, 5, 2, {0, 0, 0, 4}},
                                      {"all rows to the first", 2, 3, 4, {0, 4, 4}},
                                      {"no row", 2, 3, 2, {0, 0, 0}},
                                      {"one of everything", 1, 1, 1, {0, 1}}};
  for (const ExpertCase& c : cases) {
    check_op(
        {"expert_ffn " + c.name}, ExpertFfn{},
        [&](const std::vector<Numbers>& in) { return expert_outputs(c, in[0], in[1], in[2]); },
        variable({c.rows(), c.d}), parameter({c.experts, 2 * c.f, c.d}), parameter({c.experts, c.d, c.f}),
        plain_offsets(c.offsets));
  }
}

TEST_CASE("experts with more rows and wider networks than a piece holds give what plain loops give") {
  const ExpertCase c{"", 2, 300, 7, {0, 520, 525}};
  Context context({.threads = 2, .poison = Poison::yes, .step_memory = std::int64_t{1} << 28});
  const Numbers x = normal_values(c.rows() * c.d, 1), w13 = normal_values(c.experts * 2 * c.f * c.d, 2),
                w2 = normal_values(c.experts * c.d * c.f, 3);
  Tensor offsets = Tensor::empty(context, {3}, DType::i64);
  std::copy(c.offsets.begin(), c.offsets.end(), offsets.data<std::int64_t>());
  const Tensor y = ExpertFfn{}.forward(nullptr, tensor_of(context, {c.rows(), c.d}, DType::f64, x),
                                       tensor_of(context, {2, 2 * c.f, c.d}, DType::f64, w13),
                                       tensor_of(context, {2, c.d, c.f}, DType::f64, w2), offsets);
  const Numbers expected = expert_outputs(c, x, w13, w2), actual = values_of(y);
  double worst = 0.0, largest = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(expected[i] - actual[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  CHECK(worst <= 1e-12 * largest);
}
