// Compares every kind of router with plain float64 loops, and its losses with their definitions.
#include "tests/support/router_variants.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/ops/linear_cross_entropy.hpp"
#include "core/transfer.hpp"
#include "moe/routing/selection.hpp"
#include "moe/training/bias_balance.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

Numbers silu_network(const Numbers& x, const Numbers& gate, const Numbers& up, const Numbers& down) {
  const auto d = std::ssize(x), f = std::ssize(gate) / d;
  Numbers hidden(at(f)), y(at(d), 0.0);
  for (std::int64_t i = 0; i < f; ++i) {
    double g = 0.0, u = 0.0;
    for (std::int64_t j = 0; j < d; ++j) {
      g += gate[at(i * d + j)] * x[at(j)];
      u += up[at(i * d + j)] * x[at(j)];
    }
    hidden[at(i)] = g / (1.0 + std::exp(-g)) * u;
  }
  for (std::int64_t o = 0; o < d; ++o) {
    for (std::int64_t i = 0; i < f; ++i) y[at(o)] += down[at(o * f + i)] * hidden[at(i)];
  }
  return y;
}

/// Mistakes that routers were seen to make elsewhere. The loops below make them, to show that the test finds
/// them.
enum class Mistake { none, other_group_score, biased_weights, scaled_twice };

struct Routed {
  Numbers scores, shares;
  double z;
  std::vector<std::int64_t> chosen, unbiased;
  Numbers weights;
};

/// The experts in `key` that the rule leaves, best first.
std::vector<std::int64_t> best(const MoeConfig& moe, const Numbers& key, Mistake mistake) {
  const std::int64_t size = moe.n_routed_experts / moe.n_group;
  std::vector<std::pair<double, std::int64_t>> groups;
  for (std::int64_t g = 0; g < moe.n_group; ++g) {
    Numbers members(key.begin() + g * size, key.begin() + (g + 1) * size);
    std::sort(members.rbegin(), members.rend());
    const bool sigmoid = moe.scoring_func == ScoringFunction::sigmoid;
    const bool pair = sigmoid == (mistake != Mistake::other_group_score) && size > 1;
    groups.emplace_back(-(pair ? members[0] + members[1] : members[0]), g);
  }
  std::sort(groups.begin(), groups.end());
  std::vector<std::pair<double, std::int64_t>> left;
  for (std::int64_t g = 0; g < moe.topk_group; ++g) {
    for (std::int64_t e = groups[at(g)].second * size; e < (groups[at(g)].second + 1) * size; ++e)
      left.emplace_back(-key[at(e)], e);
  }
  std::sort(left.begin(), left.end());
  std::vector<std::int64_t> ids;
  for (std::int64_t k = 0; k < moe.num_experts_per_tok; ++k) ids.push_back(left[at(k)].second);
  return ids;
}

Routed route(const MoeConfig& moe, const Numbers& x, const Numbers& gate, const Numbers& bias,
             Mistake mistake) {
  Routed r;
  const auto d = std::ssize(x);
  double exps = 0.0, sum = 0.0;
  for (std::int64_t e = 0; e < moe.n_routed_experts; ++e) {
    double logit = 0.0;
    for (std::int64_t j = 0; j < d; ++j) logit += gate[at(e * d + j)] * x[at(j)];
    exps += std::exp(logit);
    r.scores.push_back(moe.scoring_func == ScoringFunction::sigmoid ? 1.0 / (1.0 + std::exp(-logit))
                                                                    : std::exp(logit));
  }
  if (moe.scoring_func == ScoringFunction::softmax)
    for (double& s : r.scores) s /= exps;
  for (const double s : r.scores) sum += s;
  Numbers biased = r.scores;
  for (std::size_t e = 0; e < biased.size(); ++e) {
    r.shares.push_back(r.scores[e] / sum);
    biased[e] += bias.empty() ? 0.0 : bias[e];
  }
  r.z = std::pow(std::log(exps), 2);
  r.chosen = best(moe, biased, mistake);
  r.unbiased = best(moe, r.scores, mistake);
  const Numbers& weight = mistake == Mistake::biased_weights ? biased : r.scores;
  const double scale = std::pow(moe.routed_scaling_factor, mistake == Mistake::scaled_twice ? 2 : 1);
  double total = 0.0;
  for (const std::int64_t e : r.chosen) total += weight[at(e)];
  const bool divide = moe.norm_topk_prob && moe.num_experts_per_tok > 1;
  for (const std::int64_t e : r.chosen) r.weights.push_back(scale * weight[at(e)] / (divide ? total : 1.0));
  return r;
}

struct LayerAnswer {
  Numbers y;
  double aux = 0.0, device = 0.0, z = 0.0;
};

/// One layer over `batch` sequences of kSmallSeq tokens, in plain loops without a capacity.
LayerAnswer plain_layer(const MoeConfig& moe, const ParameterStore& store, const Numbers& x,
                        std::int64_t batch, std::int64_t hidden, const Numbers& bias, Mistake mistake) {
  const auto weights = [&](const std::string& name) {
    return values_of(store.value_of(store.find("mlp." + name + ".weight")));
  };
  LayerAnswer answer;
  const std::int64_t experts = moe.n_routed_experts, devices = moe.device_groups, size = experts / devices;
  const std::int64_t unit = moe.seq_aux ? kSmallSeq : batch * kSmallSeq, units = batch * kSmallSeq / unit;
  Numbers f(at(units * experts), 0.0), p(at(units * experts), 0.0), f_seq(at(batch * experts), 0.0),
      p_seq(at(batch * experts), 0.0);
  for (std::int64_t t = 0; t < batch * kSmallSeq; ++t) {
    const Numbers row(x.begin() + t * hidden, x.begin() + (t + 1) * hidden);
    const Routed r = route(moe, row, weights("gate"), bias, mistake);
    Numbers y(at(hidden), 0.0);
    for (std::size_t k = 0; k < r.chosen.size(); ++k) {
      const auto expert = fmt::format("experts.{}.", r.chosen[k]);
      const Numbers out = silu_network(row, weights(expert + "gate_proj"), weights(expert + "up_proj"),
                                       weights(expert + "down_proj"));
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += r.weights[k] * out[i];
    }
    answer.y.insert(answer.y.end(), y.begin(), y.end());
    answer.z += r.z / double(batch * kSmallSeq);
    const auto k = double(moe.num_experts_per_tok);
    for (const std::int64_t e : r.unbiased) {
      f[at(t / unit * experts + e)] += double(experts) / (k * double(unit));
      f_seq[at(t / kSmallSeq * experts + e)] += double(experts) / (k * double(kSmallSeq));
    }
    for (std::int64_t e = 0; e < experts; ++e) {
      p[at(t / unit * experts + e)] += r.shares[at(e)] / double(unit);
      p_seq[at(t / kSmallSeq * experts + e)] += r.shares[at(e)] / double(kSmallSeq);
    }
  }
  for (std::size_t i = 0; i < f.size(); ++i) answer.aux += f[i] * p[i] / double(units);
  for (std::int64_t group = 0; group < batch * devices; ++group) {
    double f_group = 0.0, p_group = 0.0;
    for (std::int64_t e = group * size; e < (group + 1) * size; ++e) {
      f_group += f_seq[at(e)] / double(size);
      p_group += p_seq[at(e)];
    }
    answer.device += f_group * p_group / double(batch);
  }
  return answer;
}

/// The largest relative differences between a layer and the loops.
struct Differences {
  double y = 0.0, losses = 0.0;
  std::size_t kinds_of_loss = 0;
};

Differences differences_to_loops(MoeConfig moe, Mistake mistake = Mistake::none) {
  const std::int64_t batch = 3, hidden = small_model_config().hidden_size;
  moe.n_shared_experts = 0;
  moe.capacity_factor = 0.0;
  TestContext context({.threads = 2, .poison = Poison::yes, .step_memory = std::int64_t{1} << 28});
  ParameterStore store;
  const MoeLayer layer(store, "mlp", 0, small_model_config(), moe);
  store.materialise(context, DType::f64, Gradients::no);
  store.initialise(3, 0.5);
  Numbers bias;
  if (moe.has_selection_bias()) {
    for (std::int64_t e = 0; e < moe.n_routed_experts; ++e) bias.push_back(0.0625 * double(e % 3));
    write_values(bias, store.state("mlp.gate.e_score_correction_bias").value);
  }
  const Numbers x = normal_values(batch * kSmallSeq * hidden, 17);
  const LayerAnswer expected = plain_layer(moe, store, x, batch, hidden, bias, mistake);

  std::vector<SideOutput> losses;
  const Pass pass{.context = context,
                  .batch = batch,
                  .seq = kSmallSeq,
                  .position_N = make_positions(context, batch, kSmallSeq),
                  .side_outputs = &losses};
  const Var y = layer(pass, Var{tensor_of(context, {batch * kSmallSeq, hidden}, DType::f64, x)});
  Differences found{.y = relative_difference(values_of(y.value), expected.y), .kinds_of_loss = losses.size()};
  for (const SideOutput& output : losses) {
    const LayerLoss& loss = loss_of(output);
    const double wanted = loss.kind == LossKind::balance  ? expected.aux
                          : loss.kind == LossKind::device ? expected.device
                                                          : expected.z;
    found.losses = std::max(found.losses, std::abs(values_of(output.value.value)[0] / wanted - 1.0));
  }
  return found;
}

}  // namespace

TEST_CASE(
    "router_variants: every kind of router gives what plain float64 loops give: outputs and unscaled "
    "losses") {
  for (const RouterVariant& variant : router_variants()) {
    if (variant.moe.router == RouterKind::hash) continue;
    DYNAMIC_SECTION(variant.name) {
      const Differences found = differences_to_loops(variant.moe);
      CHECK(found.y <= 1e-10);
      CHECK(found.losses <= 1e-10);
      CHECK(found.kinds_of_loss == (variant.moe.device_groups > 1 ? 3 : 2));
    }
  }
}

TEST_CASE("router_variants: a router's mistakes are seen in every variant that they concern") {
  const auto seen = [](const MoeConfig& moe, Mistake mistake) {
    return differences_to_loops(moe, mistake).y > 1e-3;
  };
  for (const RouterVariant& variant : router_variants()) {
    const MoeConfig& moe = variant.moe;
    if (moe.router == RouterKind::hash) continue;
    CAPTURE(variant.name);
    CHECK(seen(moe, Mistake::other_group_score) == (moe.topk_group < moe.n_group));
    CHECK(seen(moe, Mistake::biased_weights) == moe.has_selection_bias());
    CHECK(seen(moe, Mistake::scaled_twice) == (moe.routed_scaling_factor != 1.0));
  }
}

TEST_CASE(
    "router_variants: the gradient of every kind of router is the directional derivative of the objective") {
  for (const RouterVariant& variant : router_variants()) {
    DYNAMIC_SECTION(variant.name) {
      SmallModel small(DType::f64, 1, small_model_config(), variant.moe);
      small.run(4, 4);
      const auto gradient = small.gradients();
      const Tensor& parameters = small.model.parameters().values();
      const Numbers values = values_of(parameters);
      const auto direction = normal_values(std::ssize(values), 11);
      const MicroBatch batch = small_batch(small.context, small.model.config(), 0, 4);
      const StepTotals totals{4 * kSmallSeq, 4, 1};
      const auto objective = [&](double h) {
        Numbers moved = values;
        for (std::size_t i = 0; i < values.size(); ++i) moved[i] += h * direction[i];
        write_values(moved, parameters);
        const LossReport report =
            evaluated(small.model, small.context, batch, totals, {}, {.capacity = Capacity::limited});
        double sum = report.ce + small.model.moe().z_loss_alpha * report.z();
        for (const double aux : report.aux_by_layer) sum += small.model.moe().aux_loss_alpha * aux;
        for (const double device : report.device_aux_by_layer)
          sum += small.model.moe().device_loss_alpha * device;
        return sum;
      };
      double slope = 0.0;
      for (std::size_t i = 0; i < values.size(); ++i) slope += gradient[i] * direction[i];
      // Rounding is 1e-16 / h. A factor of 16 makes the curvature large, so h is small.
      const double h = 3e-7;
      CHECK((objective(h) - objective(-h)) / (2 * h) == Approx(slope).epsilon(1e-7));
    }
  }
}

TEST_CASE("router_variants: recomputation and threads change no bit, whatever the router") {
  for (const RouterVariant& variant : router_variants()) {
    DYNAMIC_SECTION(variant.name) {
      SmallModel plain(DType::f32, 1, small_model_config(), variant.moe),
          again(DType::f32, 3, small_model_config(), variant.moe);
      const LossReport a = plain.run(4, 2), b = again.run(4, 2, Recompute::full);
      CHECK(a.ce == b.ce);
      CHECK(a.aux_by_layer == b.aux_by_layer);
      CHECK(a.z_by_layer == b.z_by_layer);
      CHECK(plain.gradients() == again.gradients());
      for (std::int64_t i = 0; i < plain.record.layers(); ++i) {
        CHECK(std::ranges::equal(plain.record.dropped(i), again.record.dropped(i)));
        CHECK(plain.record.entropy(i) == again.record.entropy(i));
      }
    }
  }
}

TEST_CASE(
    "router_variants: every loss pulls the router in proportion to its coefficient, whatever the "
    "accumulation") {
  struct Coefficient {
    std::string name;
    double MoeConfig::*alpha;
    LossKind kind;
  };
  const std::string router = "model.layers.1.mlp.gate.weight";
  for (const auto& [name, alpha, kind] :
       std::vector<Coefficient>{{"sequence-level", &MoeConfig::aux_loss_alpha, LossKind::balance},
                                {"device-level", &MoeConfig::device_loss_alpha, LossKind::device},
                                {"z", &MoeConfig::z_loss_alpha, LossKind::z}}) {
    DYNAMIC_SECTION(name) {
      // clang 14 cannot capture a structured binding by reference.
      const auto gradient = [&, alpha = alpha](double value, std::int64_t micro) {
        MoeConfig moe = small_moe_config();
        moe.aux_loss_alpha = 0.0;
        moe.device_groups = 4;
        moe.*alpha = value;
        SmallModel model(DType::f64, 1, small_model_config(), moe);
        model.run(4, micro);
        return model.gradient(router);
      };
      const auto none = gradient(0.0, 4), once = gradient(0.05, 4), twice = gradient(0.1, 4);
      Numbers effect(once.size()), doubled(once.size());
      for (std::size_t i = 0; i < once.size(); ++i) {
        effect[i] = once[i] - none[i];
        doubled[i] = 0.5 * (twice[i] - none[i]);
      }
      CHECK(*std::max_element(effect.begin(), effect.end()) > 1e-6);
      // They are differences of gradients that are a thousand times larger.
      CHECK(relative_difference(doubled, effect) <= 1e-10);
      CHECK(relative_difference(gradient(0.05, 2), once) <= 1e-12);
      CHECK(relative_difference(gradient(0.05, 1), once) <= 1e-12);
    }
  }
}

TEST_CASE("router_variants: padding changes no loss of a router and no gradient of what is not padding") {
  // The same two sequences alone, and together with a third one of padding.
  for (const RouterVariant& variant : router_variants()) {
    if (!variant.moe.seq_aux) continue;  // one unit more or less changes the token-level loss by definition
    DYNAMIC_SECTION(variant.name) {
      MoeConfig moe = variant.moe;
      moe.capacity_factor = 0.0;
      SmallModel alone(DType::f64, 1, small_model_config(), moe),
          padded(DType::f64, 1, small_model_config(), moe),
          careless(DType::f64, 1, small_model_config(), moe);
      const auto step = [](SmallModel& small, const MicroBatch& batch, const StepTotals& totals) {
        small.record.begin_step();
        small.model.parameters().begin_step();
        const LossReport report =
            trained(small.model, batch, totals, Recompute::none, {.routing = &small.record});
        small.model.parameters().finish_gradients();
        return report;
      };
      const StepTotals totals{2 * kSmallSeq, 2, 1};
      const LossReport a = step(alone, small_batch(alone.context, small_model_config(), 0, 2), totals);
      MicroBatch batch = small_batch(padded.context, small_model_config(), 0, 3);
      std::vector<std::int32_t> valid(3 * kSmallSeq, 0);
      std::fill_n(valid.begin(), 2 * kSmallSeq, 1);
      batch.valid_N = ids_of(padded.context, {3 * kSmallSeq}, valid);
      const std::vector<std::int32_t> ignored(kSmallSeq, kIgnoreTarget);
      write<std::int32_t>(ignored, batch.target_N.slice(2 * kSmallSeq, {kSmallSeq}));
      batch.padding = kSmallSeq;
      const LossReport b = step(padded, batch, totals);
      CHECK(b.ce == Approx(a.ce).epsilon(1e-13));
      CHECK(b.z() == Approx(a.z()).epsilon(1e-13));
      CHECK(b.aux() == Approx(a.aux()).epsilon(1e-13));
      CHECK(b.device_aux() == Approx(a.device_aux()).epsilon(1e-13));
      CHECK(relative_difference(padded.gradients(), alone.gradients()) <= 1e-12);
      CHECK(std::equal(alone.record.counts().begin(), alone.record.counts().end(),
                       padded.record.counts().begin()));
      if (moe.router == RouterKind::hash) continue;  // without scores, a loss over padding has no effect
      batch.valid_N = {};
      batch.padding = 0;
      const LossReport c = step(careless, batch, totals);
      CHECK(std::abs(c.aux() - a.aux()) > 1e-3);
      CHECK(relative_difference(careless.gradients(), alone.gradients()) > 1e-6);
    }
  }
}

TEST_CASE("router_variants: counts are taken before tokens are dropped, and what was dropped is told") {
  MoeConfig limited = small_moe_config();
  limited.capacity_factor = 0.5;
  SmallModel free(DType::f64), tight(DType::f64, 1, small_model_config(), limited);
  const LossReport a = free.run(4, 2), b = tight.run(4, 2);
  // The first MoE layer gets the same inputs. So it chooses the same experts, and its loss counts the same.
  CHECK(
      std::equal(free.record.counts(0).begin(), free.record.counts(0).end(), tight.record.counts(0).begin()));
  CHECK(a.aux_by_layer[0] == b.aux_by_layer[0]);
  const auto all_of = [](std::span<const std::int64_t> of_experts) {
    return std::accumulate(of_experts.begin(), of_experts.end(), std::int64_t{0});
  };
  CHECK(all_of(free.record.dropped(0)) == 0);
  // Two micro-batches of 24 tokens, top-3 of 8. The capacity is 5, and an expert gets 9 on average. So at
  // least 72 − 40 copies are dropped.
  CHECK(all_of(tight.record.dropped(0)) >= 2 * (72 - 8 * 5));
  // No expert takes more than 5 in a micro-batch. It refused exactly what exceeds them.
  for (std::size_t e = 0; e < 8; ++e) {
    const std::int64_t taken = tight.record.counts(0)[e] - tight.record.dropped(0)[e];
    CHECK(taken <= 2 * 5);
    CHECK(tight.record.dropped(0)[e] >= std::max<std::int64_t>(0, tight.record.counts(0)[e] - 2 * 5));
  }
  CHECK(b.ce != a.ce);
  const LossReport dropless =
      evaluated(tight.model, tight.context, small_batch(tight.context, tight.model.config(), 0, 4),
                {4 * kSmallSeq, 4, 1});
  CHECK(dropless.ce == Approx(a.ce).epsilon(1e-12));  // an evaluation is dropless by default
}

TEST_CASE("router_variants: the selection bias moves by the sign of what is missing, and levels the load") {
  MoeConfig moe = small_moe_config();
  moe.aux_loss_alpha = 0.0;
  moe.bias_update_speed = 0.01;
  SmallModel small(DType::f32, 2, small_model_config(), moe);
  small.run(4, 2);
  const auto counts = small.record.counts(0);
  update_selection_bias(small.model, small.record);
  const State& bias = small.model.parameters().state(selection_bias_name(small.model.moe_layers()[0]));
  CHECK(bias.value.dtype() == DType::f32);
  const Numbers moved = values_of(bias.value);
  const std::int64_t mean = 4 * kSmallSeq * 3 / 8;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    const double expected = counts[e] < mean ? 0.01 : counts[e] > mean ? -0.01 : 0.0;
    CHECK(moved[e] == static_cast<double>(static_cast<float>(expected)));
  }
  const double before = load_statistics(counts).cv;
  for (int step = 0; step < 60; ++step) {
    small.run(4, 2);
    update_selection_bias(small.model, small.record);
  }
  small.run(4, 2);
  CHECK(load_statistics(small.record.counts(0)).cv < 0.5 * before);
}

TEST_CASE(
    "router_variants: the balance losses' part of the router's gradient is measured, and alpha as it was "
    "applied") {
  MoeConfig moe = small_moe_config();
  moe.z_loss_alpha = 0.01;
  const std::string gate = "model.layers.1.mlp.gate.weight";
  SmallModel both(DType::f64, 1, small_model_config(), moe);
  both.record.measure_balance(DType::f64, both.model.config().hidden_size);
  const LossReport report = both.run(4, 2, Recompute::full);
  CHECK(report.alpha_by_layer[0] == Approx(moe.aux_loss_alpha).epsilon(1e-15));
  // The part is the difference to a step without these losses.
  MoeConfig none = moe;
  none.aux_loss_alpha = none.z_loss_alpha = 0.0;
  SmallModel ce(DType::f64, 1, small_model_config(), none);
  ce.run(4, 2);
  const auto all = both.gradient(gate), part = values_of(both.record.balance_gradients()[1]);
  // Losses of deeper layers also reach this router through its outputs. The last MoE layer has none after it.
  const std::string last = "model.layers.2.mlp.gate.weight";
  const auto all_last = both.gradient(last), ce_last = ce.gradient(last),
             part_last = values_of(both.record.balance_gradients()[2]);
  Numbers difference(all_last.size());
  for (std::size_t i = 0; i < difference.size(); ++i) difference[i] = all_last[i] - ce_last[i];
  CHECK(relative_difference(part_last, difference) <= 1e-10);
  const auto norm = [](const Numbers& v) {
    double sum = 0.0;
    for (const double x : v) sum += x * x;
    return std::sqrt(sum);
  };
  const ParameterStore& store = both.model.parameters();
  const Tensor gradient = store.gradient_of(store.find(last));
  both.record.measure_shares(1, 0, gradient);
  CHECK(both.record.gradient_shares(1).balance_over_ce() ==
        Approx(norm(part_last) / norm(ce_last)).epsilon(1e-9));
  CHECK(norm(part) > 0.0);
  CHECK(all.size() == part.size());
}

namespace {

/// Counts runs of bit-equal rows in the scores of every layer.
struct RunsOfRows final : RoutingObserver {
  std::vector<std::int64_t> runs;
  std::vector<std::vector<std::int64_t>> counts, dropped;
  void on_routing(const RoutingNote& note) override {
    const std::int64_t n = note.score_NE.shape()[0], e = note.score_NE.shape()[1];
    std::int64_t found = 1;
    for (std::int64_t i = 1; i < n; ++i)
      found += same_bits(note.score_NE.slice((i - 1) * e, {e}), note.score_NE.slice(i * e, {e})) ? 0 : 1;
    runs.push_back(found);
    counts.push_back(integers_of(note.count_E));
    dropped.push_back(integers_of(note.dropped_E));
  }
};

}  // namespace

TEST_CASE(
    "router_variants: of equal tokens an expert drops the later ones, whatever the shapes and the type") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [experts, k, tokens] :
         {std::array<std::int64_t, 3>{3, 2, 5}, {3, 1, 7}, {5, 2, 6}, {7, 3, 17}, {8, 2, 33}, {3, 2, 257}}) {
      MoeConfig moe = small_moe_config();
      moe.n_routed_experts = experts;
      moe.num_experts_per_tok = k;
      moe.capacity_factor = 1.0;
      INFO(fmt::format("{}: {} of {} experts, {} tokens", name_of(dtype), k, experts, tokens));
      SmallModel small(dtype, 1, small_model_config(), moe);
      // The sequences have one token each, and all are the same.
      const MicroBatch batch{Tensor::zeros(small.context, {tokens}, DType::i32),
                             Tensor::zeros(small.context, {tokens}, DType::i32), tokens, 1};
      RunsOfRows rows;
      evaluate_micro_batch(small.model, small.context, batch, {tokens, tokens, 1}, {.routing = &rows},
                           {.capacity = Capacity::limited});
      const std::int64_t capacity = expert_capacity(moe, tokens);
      REQUIRE(rows.runs.size() == 2);
      CHECK(rows.runs[0] == 1);
      for (std::size_t e = 0; e < rows.counts[0].size(); ++e) {
        CHECK((rows.counts[0][e] == 0 || rows.counts[0][e] == tokens));
        CHECK(rows.dropped[0][e] == std::max<std::int64_t>(0, rows.counts[0][e] - capacity));
      }
      // All tokens ask for the same experts. These take the first tokens, and all later tokens pass by.
      CHECK(rows.runs[1] == 2);
    }
  }
}
