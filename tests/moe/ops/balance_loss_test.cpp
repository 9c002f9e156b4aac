#include "moe/ops/balance_loss.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/router_inputs.hpp"

using namespace granule;
using namespace granule::test;
using Counts = std::vector<std::int64_t>;

namespace {

struct BalanceCase {
  std::string name;
  std::int64_t units;
  std::vector<std::int64_t> counts;  // [units][experts]
  std::int64_t devices = 0;
  Ids valid{};
};
constexpr std::int64_t kTokens = 4, kExperts = 4, kChoices = 2;

/// The paper's sums, and with devices those of each device (eq. 15-17).
double balance_of(const BalanceCase& c, const Numbers& s) {
  double mean = 0.0;
  const std::int64_t per_unit = kTokens / c.units, groups = c.devices > 0 ? c.devices : kExperts;
  for (std::int64_t u = 0; u < c.units; ++u) {
    Numbers p(std::size_t(kExperts), 0.0);
    double tokens = 0.0;
    for (std::int64_t t = u * per_unit; t < (u + 1) * per_unit; ++t) {
      if (!c.valid.empty() && c.valid[std::size_t(t)] == 0) continue;
      tokens += 1.0;
      for (std::int64_t e = 0; e < kExperts; ++e) p[std::size_t(e)] += s[std::size_t(t * kExperts + e)];
    }
    for (std::int64_t d = 0; tokens > 0.0 && d < groups; ++d) {
      double f = 0.0, share = 0.0;
      for (std::int64_t e = d * kExperts / groups; e < (d + 1) * kExperts / groups; ++e) {
        f += double(kExperts) / (double(kChoices) * tokens) * double(c.counts[std::size_t(u * kExperts + e)]);
        share += p[std::size_t(e)] / tokens;
      }
      mean += f / (double(kExperts) / double(groups)) * share / double(c.units);
    }
  }
  return mean;
}

auto plain_counts(std::int64_t units, std::int64_t experts, const std::vector<std::int64_t>& counts) {
  return plain([=](Context& context, DType) { return counts_of(context, {units, experts}, counts); });
}

}  // namespace

TEST_CASE("balance_loss: it keeps an operator's promises: units, devices, padding") {
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

TEST_CASE("balance_loss: a case worked by hand") {
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

TEST_CASE("balance_loss: a case with devices worked by hand") {
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

TEST_CASE("balance_loss: a balanced load has a loss of 1") {
  TestContext context;
  const std::int64_t tokens = 8, experts = 4;
  const Tensor scores =
      tensor_of(context, {tokens, experts}, DType::f64, Numbers(std::size_t(tokens * experts), 0.25));
  const Tensor counts = counts_of(context, {2, experts}, Counts(8, 2));  // 4 tokens, top-2, over 4 experts
  CHECK(values_of(BalanceLoss{2}.forward(nullptr, scores, counts, {}))[0] == Approx(1.0).epsilon(1e-15));
}

TEST_CASE("balance_loss: a micro-batch without a sequence, or without a token, has none") {
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
