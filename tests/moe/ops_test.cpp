// The operators of an MoE layer, compared with plain float64 loops and central differences.
// tests/support/op_case.hpp lists what else is checked.
#include <cmath>
#include <numeric>

#include "moe/ops/balance_branch.hpp"
#include "moe/ops/balance_loss.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "moe/ops/gate_weights.hpp"
#include "moe/ops/normalise_rows.hpp"
#include "moe/ops/permute.hpp"
#include "moe/ops/router_z.hpp"
#include "moe/ops/sigmoid.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Ids = std::vector<std::int32_t>;
using Counts = std::vector<std::int64_t>;

std::size_t size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

/// Scores are probabilities. They are positive, so a sum of a few does not cancel.
Numbers probabilities(std::int64_t n, std::uint64_t seed) {
  Numbers values = normal_values(n, seed);
  for (double& value : values) value = 0.05 + 0.9 / (1.0 + std::exp(-value));
  return values;
}

auto plain_counts(std::int64_t units, std::int64_t experts, const std::vector<std::int64_t>& counts) {
  return plain([=](Context& context, DType) { return counts_of(context, {units, experts}, counts); });
}

auto plain_routing(std::int64_t tokens, std::int64_t k, std::int64_t experts, const Ids& ids) {
  return plain([=](Context& context, DType) {
    return sort_by_expert(ids_of(context, {tokens, k}, ids), experts, Sent::some);
  });
}

struct GateCase {
  std::string name;
  std::int64_t tokens, experts, k;
  bool normalise;
  Ids ids;
  double factor = 1.0;
};

Numbers gated(const GateCase& c, const Numbers& s) {
  Numbers w;
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    double sum = 0.0;
    for (std::int64_t j = 0; j < c.k; ++j) sum += s[size(t * c.experts + c.ids[size(t * c.k + j)])];
    const bool divide = c.normalise && c.k > 1;
    for (std::int64_t j = 0; j < c.k; ++j) {
      w.push_back(c.factor * s[size(t * c.experts + c.ids[size(t * c.k + j)])] /
                  (divide ? sum + 1e-20 : 1.0));
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
                                    {"one expert", 2, 1, 1, false, {0, 0}},
                                    {"scaled", 2, 3, 2, false, {0, 2, 2, 1}, 16.0},
                                    {"normalised, then scaled", 2, 3, 2, true, {0, 2, 2, 1}, 2.5}};
  for (const GateCase& c : cases) {
    check_op(
        {"gate_weights " + c.name}, GateWeights{c.normalise, c.factor},
        [&](const std::vector<Numbers>& in) { return gated(c, in[0]); },
        variable({c.tokens, c.experts}, probabilities(c.tokens * c.experts, 5)),
        plain_ids({c.tokens, c.k}, c.ids));
  }
}

namespace {

struct BalanceCase {
  std::string name;
  std::int64_t units;
  std::vector<std::int64_t> counts;  // [units][experts]
  std::int64_t devices = 0;
  Ids valid{};  // empty means all
};
constexpr std::int64_t kTokens = 4, kExperts = 4, kChoices = 2;

/// The paper's sums, and with devices those of each device (eq. 15-17).
double balance_of(const BalanceCase& c, const Numbers& s) {
  double mean = 0.0;
  const std::int64_t per_unit = kTokens / c.units, groups = c.devices > 0 ? c.devices : kExperts;
  for (std::int64_t u = 0; u < c.units; ++u) {
    Numbers p(size(kExperts), 0.0);
    double tokens = 0.0;
    for (std::int64_t t = u * per_unit; t < (u + 1) * per_unit; ++t) {
      if (!c.valid.empty() && c.valid[size(t)] == 0) continue;
      tokens += 1.0;
      for (std::int64_t e = 0; e < kExperts; ++e) p[size(e)] += s[size(t * kExperts + e)];
    }
    for (std::int64_t d = 0; tokens > 0.0 && d < groups; ++d) {
      double f = 0.0, share = 0.0;
      for (std::int64_t e = d * kExperts / groups; e < (d + 1) * kExperts / groups; ++e) {
        f += double(kExperts) / (double(kChoices) * tokens) * double(c.counts[size(u * kExperts + e)]);
        share += p[size(e)] / tokens;
      }
      mean += f / (double(kExperts) / double(groups)) * share / double(c.units);
    }
  }
  return mean;
}

auto plain_valid(const Ids& valid) {
  return plain([=](Context& context, DType) {
    return valid.empty() ? Tensor{} : ids_of(context, {std::ssize(valid)}, valid);
  });
}

}  // namespace

TEST_CASE("the balance loss keeps an operator's promises: units, devices, padding") {
  const std::vector<BalanceCase> cases{
      {"by sequence", 2, {2, 2, 0, 0, 1, 1, 2, 0}},
      {"by micro-batch", 1, {3, 3, 2, 0}},
      {"by device and sequence", 2, {2, 2, 0, 0, 1, 1, 2, 0}, 2},
      {"one device", 1, {3, 3, 2, 0}, 1},
      {"padding in one unit, nothing else in the other", 2, {1, 1, 0, 0, 0, 0, 0, 0}, 0, {1, 0, 0, 0}},
      {"devices and padding", 2, {1, 1, 0, 0, 2, 0, 1, 1}, 2, {0, 1, 1, 1}}};
  for (const BalanceCase& c : cases) {
    check_op(
        {"balance_loss " + c.name}, BalanceLoss{kChoices, c.devices},
        [&](const std::vector<Numbers>& in) { return Numbers{balance_of(c, in[0])}; },
        variable({kTokens, kExperts}, probabilities(kTokens * kExperts, 6)),
        plain_counts(c.units, kExperts, c.counts), plain_valid(c.valid));
  }
}

TEST_CASE("the device loss of a case worked by hand") {
  // One sequence of 2 tokens, 4 experts on 2 devices, top-1, both tokens to expert 1.
  //   f = 4/(1·2) · (0 2 0 0) = (0 4 0 0), f' = (2, 0)
  //   s = (0.1 0.6 0.2 0.1; 0.3 0.4 0.2 0.1): P = (0.2 0.5 0.2 0.1), P' = (0.7, 0.3)
  //   L = 2 · 0.7 + 0 · 0.3 = 1.4, dL/ds_te = f'_device(e) / T = (1 1 0 0; 1 1 0 0)
  TestContext context;
  const Tensor scores =
      tensor_of(context, {2, 4}, DType::f64, Numbers{0.1, 0.6, 0.2, 0.1, 0.3, 0.4, 0.2, 0.1});
  const Tensor counts = counts_of(context, {1, 4}, Counts{0, 2, 0, 0});
  BalanceLoss::Saved saved;
  const BalanceLoss op{.choices = 1, .devices = 2};
  CHECK(values_of(op.forward(&saved, scores, counts, {}))[0] == Approx(1.4).epsilon(1e-15));
  const Tensor ds = scores.empty_like(scores.shape());
  op.backward(saved, tensor_of(context, {1}, DType::f64, Numbers{1.0}), {ds, 0.0});
  CHECK(values_of(ds) == Numbers{1, 1, 0, 0, 1, 1, 0, 0});
}

TEST_CASE("the balance loss of a micro-batch without a sequence, or without a token, is nothing") {
  for (const std::int64_t units : {0, 1}) {
    TestContext context;
    const Tensor scores = Tensor::empty(context, {0, 4}, DType::f64);
    const Tensor counts = Tensor::zeros(context, {units, 4}, DType::i64);
    BalanceLoss::Saved saved;
    const BalanceLoss op{.choices = 2};
    CHECK(values_of(op.forward(&saved, scores, counts, {}))[0] == 0.0);
    op.backward(saved, tensor_of(context, {1}, DType::f64, Numbers{1.0}), {scores.empty_like({0, 4}), 0.0});
  }
}

TEST_CASE("sigmoid scores and their shares keep an operator's promises") {
  const auto shares = [](std::int64_t n, std::int64_t e, const Numbers& s) {
    Numbers p;
    for (std::int64_t i = 0; i < n; ++i) {
      const double sum = std::accumulate(s.begin() + i * e, s.begin() + (i + 1) * e, 0.0);
      for (std::int64_t j = 0; j < e; ++j) p.push_back(s[size(i * e + j)] / sum);
    }
    return p;
  };
  for (const auto& [n, e] : std::vector<std::pair<std::int64_t, std::int64_t>>{{3, 5}, {1, 1}, {0, 4}}) {
    const auto name = fmt::format("{} x {}", n, e);
    check_op(
        {"sigmoid " + name}, Sigmoid{},
        [](const std::vector<Numbers>& in) {
          Numbers y;
          for (const double x : in[0]) y.push_back(1.0 / (1.0 + std::exp(-x)));
          return y;
        },
        variable({n, e}, 3.0));
    check_op(
        {"normalise_rows " + name}, NormaliseRows{},
        [&, n = n, e = e](const std::vector<Numbers>& in) { return shares(n, e, in[0]); },
        variable({n, e}, probabilities(n * e, 8)));
  }
}

TEST_CASE("the z-loss keeps an operator's promises, with padding and without") {
  for (const Ids& valid : {Ids{}, Ids{1, 0, 1}, Ids{0, 0, 0}}) {
    check_op(
        {fmt::format("router_z {}", fmt::join(valid, " "))}, RouterZ{},
        [&](const std::vector<Numbers>& in) {
          double sum = 0.0, tokens = 0.0;
          for (std::int64_t t = 0; t < 3; ++t) {
            if (!valid.empty() && valid[size(t)] == 0) continue;
            double exps = 0.0;
            for (std::int64_t e = 0; e < 4; ++e) exps += std::exp(in[0][size(t * 4 + e)]);
            sum += std::pow(std::log(exps), 2);
            tokens += 1.0;
          }
          return Numbers{tokens > 0.0 ? sum / tokens : 0.0};
        },
        variable({3, 4}, 2.0), plain_valid(valid));
  }
}

TEST_CASE("the z-loss of a case worked by hand") {
  // One token with logits (log 3, 0).
  //   exps 3 + 1, z = log 4, L = log² 4, dL/dl = 2 log 4 · (3/4, 1/4)
  TestContext context;
  const Tensor logits = tensor_of(context, {1, 2}, DType::f64, Numbers{std::log(3.0), 0.0});
  RouterZ::Saved saved;
  CHECK(values_of(RouterZ{}.forward(&saved, logits, {}))[0] == Approx(1.9218120556728056).epsilon(1e-15));
  const Tensor dl = logits.empty_like(logits.shape());
  RouterZ{}.backward(saved, tensor_of(context, {1}, DType::f64, Numbers{1.0}), {dl, 0.0});
  CHECK(values_of(dl)[0] == Approx(1.5 * std::log(4.0)).epsilon(1e-14));
  CHECK(values_of(dl)[1] == Approx(0.5 * std::log(4.0)).epsilon(1e-14));
}

TEST_CASE("the balance branch passes numbers and gradients on, and adds up the router's share") {
  const auto rows = plain([](Context& context, DType dtype) {
    return tensor_of(context, {3, 5}, dtype, normal_values(15, 9));
  });
  check_op(
      {"balance_branch"}, BalanceBranch{}, [](const std::vector<Numbers>& in) { return in[0]; },
      variable({3, 2}), rows);
  TestContext context;
  const Tensor logits = tensor_of(context, {2, 2}, DType::f64, Numbers{1, 2, 3, 4});
  const Tensor x = tensor_of(context, {2, 3}, DType::f64, Numbers{1, 0, 2, 0, 1, 3});
  const Tensor share = tensor_of(context, {2, 3}, DType::f64, Numbers{10, 10, 10, 20, 20, 20});
  BalanceBranch::Saved saved;
  const BalanceBranch op{share};
  static_cast<void>(op.forward(&saved, logits, x));
  op.backward(saved, tensor_of(context, {2, 2}, DType::f64, Numbers{1, 2, 3, 4}), {});
  //   dyᵀ x = (1·(1 0 2) + 3·(0 1 3); 2·(1 0 2) + 4·(0 1 3)) = (1 3 11; 2 4 16), added
  CHECK(values_of(share) == Numbers{11, 13, 21, 22, 24, 36});
}

TEST_CASE("the balance loss of a case worked by hand") {
  // One sequence of 2 tokens, 2 experts, top-1, both tokens to expert 0.
  //   f = 2/(1·2) · (2, 0) = (2, 0), s = (0.9 0.1; 0.7 0.3): P = (0.8, 0.2)
  //   L = 2 · 0.8 + 0 · 0.2 = 1.6, dL/ds = f/T = (1 0; 1 0)
  TestContext context;
  const Tensor scores = tensor_of(context, {2, 2}, DType::f64, Numbers{0.9, 0.1, 0.7, 0.3});
  const Tensor counts = counts_of(context, {1, 2}, Counts{2, 0});
  BalanceLoss::Saved saved;
  const Tensor loss = BalanceLoss{1}.forward(&saved, scores, counts, {});
  CHECK(values_of(loss)[0] == Approx(1.6).epsilon(1e-15));
  const Tensor ds = scores.empty_like(scores.shape());
  BalanceLoss{1}.backward(saved, tensor_of(context, {1}, DType::f64, Numbers{1.0}), {ds, 0.0});
  CHECK(values_of(ds) == Numbers{1.0, 0.0, 1.0, 0.0});
}

TEST_CASE("a balanced load has a balance loss of 1") {
  TestContext context;
  const std::int64_t tokens = 8, experts = 4;
  const Tensor scores =
      tensor_of(context, {tokens, experts}, DType::f64, Numbers(size(tokens * experts), 0.25));
  const Tensor counts = counts_of(context, {2, experts}, Counts(8, 2));  // 4 tokens, top-2, over 4 experts
  CHECK(values_of(BalanceLoss{2}.forward(nullptr, scores, counts, {}))[0] == Approx(1.0).epsilon(1e-15));
}

TEST_CASE("dispatch and combine keep an operator's promises: mixed, one-hot, idle, dropped, none") {
  struct Case {
    std::string name;
    std::int64_t tokens, k, experts;
    Ids ids;
  };
  const std::vector<Case> cases{
      {"mixed", 4, 2, 3, {2, 0, 1, 2, 0, 1, 2, 1}}, {"all to one expert", 3, 1, 4, {2, 2, 2}},
      {"idle experts", 2, 2, 6, {5, 0, 0, 5}},      {"dropped copies", 4, 2, 3, {2, -1, -1, -1, 0, 1, -1, 2}},
      {"everything dropped", 2, 1, 2, {-1, -1}},    {"no token", 0, 2, 3, {}}};
  const std::int64_t d = 5;
  for (const Case& c : cases) {
    const auto routing = plain_routing(c.tokens, c.k, c.experts, c.ids);
    // Rows are sorted by expert. For equal experts, they keep the order of the tokens.
    std::vector<std::size_t> copies;
    for (std::size_t i = 0; i < c.ids.size(); ++i) {
      if (c.ids[i] >= 0) copies.push_back(i);
    }
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
        variable({std::ssize(copies), d}), variable({c.tokens, c.k}), routing);
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
        c.offsets);
  }
}

TEST_CASE("experts with more rows and wider networks than a piece holds give what plain loops give") {
  const ExpertCase c{"", 2, 300, 7, {0, 520, 525}};
  TestContext context({.threads = 2, .poison = Poison::yes, .step_memory = std::int64_t{1} << 28});
  const Numbers x = normal_values(c.rows() * c.d, 1), w13 = normal_values(c.experts * 2 * c.f * c.d, 2),
                w2 = normal_values(c.experts * c.d * c.f, 3);
  const Tensor y = ExpertFfn{}.forward(nullptr, tensor_of(context, {c.rows(), c.d}, DType::f64, x),
                                       tensor_of(context, {2, 2 * c.f, c.d}, DType::f64, w13),
                                       tensor_of(context, {2, c.d, c.f}, DType::f64, w2), c.offsets);
  const Numbers expected = expert_outputs(c, x, w13, w2), actual = values_of(y);
  double worst = 0.0, largest = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(expected[i] - actual[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  CHECK(worst <= 1e-12 * largest);
}
