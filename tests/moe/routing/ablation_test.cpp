// MoE layers without some of their experts, against float64 loops that are written for this test alone.
#include <cmath>
#include <map>

#include "core/transfer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/router_variants.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kTokens = 2 * kSmallSeq;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

double dot(const double* a, const double* b, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// Adds `weight` times what a SwiGLU network makes of one row.
void add_network(Numbers& y, double weight, const double* x, const Numbers& gate, const Numbers& up,
                 const Numbers& down) {
  const auto hidden = std::ssize(y), width = std::ssize(gate) / hidden;
  for (std::int64_t i = 0; i < width; ++i) {
    const double g = dot(&gate[at(i * hidden)], x, hidden);
    const double h = g / (1.0 + std::exp(-g)) * dot(&up[at(i * hidden)], x, hidden);
    for (std::int64_t o = 0; o < hidden; ++o) y[at(o)] += weight * down[at(o * width + i)] * h;
  }
}

/// The best of the experts that are allowed. Of equal ones it is the first.
std::int64_t best(const Numbers& value, const std::vector<bool>& allowed) {
  std::int64_t found = -1;
  for (std::int64_t e = 0; e < std::ssize(value); ++e)
    if (allowed[at(e)] && (found < 0 || value[at(e)] > value[at(found)])) found = e;
  return found;
}

/// What the groups are worth, without experts that are not allowed. −1e300 if nothing is left.
Numbers worth_of_groups(const MoeConfig& moe, const Numbers& value, const std::vector<bool>& allowed) {
  const std::int64_t size = moe.n_routed_experts / moe.n_group;
  Numbers worth;
  for (std::int64_t g = 0; g < moe.n_group; ++g) {
    std::vector<bool> here(at(moe.n_routed_experts));
    for (std::int64_t e = g * size; e < (g + 1) * size; ++e) here[at(e)] = allowed[at(e)];
    worth.push_back(-1e300);
    for (int i = 0; i < (moe.scoring_func == ScoringFunction::sigmoid ? 2 : 1); ++i) {
      const std::int64_t e = best(value, here);
      if (e < 0) break;
      worth.back() = (i == 0 ? 0.0 : worth.back()) + value[at(e)];
      here[at(e)] = false;
    }
  }
  return worth;
}

/// The experts of one token, by taking away: first the masked ones, then the worst groups, then one by one.
std::vector<std::int64_t> choose(const MoeConfig& moe, std::int64_t masked, const Numbers& score,
                                 const Numbers& biased) {
  std::vector<bool> allowed(at(moe.n_routed_experts), true), kept(at(moe.n_group), false);
  for (std::int64_t i = 0; i < masked; ++i) allowed[at(best(score, allowed))] = false;
  const Numbers worth = worth_of_groups(moe, biased, allowed);
  for (std::int64_t i = 0; i < moe.topk_group; ++i) {
    std::vector<bool> others(kept);
    others.flip();
    kept[at(best(worth, others))] = true;
  }
  const std::int64_t size = moe.n_routed_experts / moe.n_group;
  for (std::int64_t e = 0; e < moe.n_routed_experts; ++e)
    if (!kept[at(e / size)]) allowed[at(e)] = false;
  std::vector<std::int64_t> ids;
  for (std::int64_t k = 0; k < moe.num_experts_per_tok; ++k) {
    ids.push_back(best(biased, allowed));
    REQUIRE(ids.back() >= 0);
    allowed[at(ids.back())] = false;
  }
  return ids;
}

struct Layer {
  TestContext context;
  MoeConfig moe;
  ParameterStore store;
  MoeLayer layer;
  Numbers x;

  explicit Layer(const MoeConfig& config, DType dtype = DType::f64)
      : moe(config), layer(store, "mlp", 0, small_model_config(), moe) {
    store.materialise(context, dtype, Gradients::no);
    store.initialise(3, 0.5);
    Numbers bias;
    for (std::int64_t e = 0; e < moe.n_routed_experts; ++e) bias.push_back(0.0625 * double(e % 3));
    if (moe.has_selection_bias()) write_values(bias, store.state("mlp.gate.e_score_correction_bias").value);
    x = normal_values(kTokens * small_model_config().hidden_size, 17);
  }

  Tensor run(const Ablation& ablation, ChoiceObserver* choices = nullptr) {
    std::vector<std::int32_t> tokens;
    for (std::int32_t i = 0; i < kTokens; ++i) tokens.push_back(i * 7 % 61);
    const Pass pass{.context = context,
                    .batch = 2,
                    .seq = kSmallSeq,
                    .position_N = make_positions(context, 2, kSmallSeq),
                    .token_N = ids_of(context, {kTokens}, tokens),
                    .extension = RoutingPass{.ablation = ablation, .choices = choices}};
    const Shape shape{kTokens, small_model_config().hidden_size};
    return layer(pass, Var{tensor_of(context, shape, store.precision().values, x)}).value;
  }

  [[nodiscard]] Numbers weights(const std::string& name) const {
    return values_of(store.value_of(store.find("mlp." + name + ".weight")));
  }

  /// The output in plain loops.
  [[nodiscard]] Numbers expected(const Ablation& ablation) const {
    const std::int64_t hidden = small_model_config().hidden_size;
    const Numbers gate = weights("gate");
    Numbers all;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const double* const row = &x[at(t * hidden)];
      Numbers score, biased, y(at(hidden), 0.0);
      double sum = 0.0;
      for (std::int64_t e = 0; e < moe.n_routed_experts; ++e) {
        const double power = std::exp(dot(&gate[at(e * hidden)], row, hidden));
        sum += power;
        score.push_back(moe.scoring_func == ScoringFunction::sigmoid ? power / (1.0 + power) : power);
      }
      for (std::int64_t e = 0; e < moe.n_routed_experts; ++e) {
        if (moe.scoring_func == ScoringFunction::softmax) score[at(e)] /= sum;
        biased.push_back(score[at(e)] + (moe.has_selection_bias() ? 0.0625 * double(e % 3) : 0.0));
      }
      const std::vector<std::int64_t> ids = choose(moe, ablation.masked_experts, score, biased);
      double chosen = 0.0;
      for (const std::int64_t e : ids) chosen += score[at(e)];
      const double scale =
          moe.routed_scaling_factor / (moe.norm_topk_prob && std::ssize(ids) > 1 ? chosen : 1.0);
      for (const std::int64_t e : ids) add_expert(y, scale * score[at(e)], row, fmt::format("experts.{}", e));
      if (moe.n_shared_experts > 0 && ablation.shared == SharedExperts::used)
        add_expert(y, 1.0, row, "shared_experts");
      all.insert(all.end(), y.begin(), y.end());
    }
    return all;
  }
  void add_expert(Numbers& y, double weight, const double* row, const std::string& name) const {
    add_network(y, weight, row, weights(name + ".gate_proj"), weights(name + ".up_proj"),
                weights(name + ".down_proj"));
  }
};

std::vector<RouterVariant> variants_with_scores() {
  std::vector<RouterVariant> variants = router_variants();
  std::erase_if(variants, [](const RouterVariant& v) { return v.moe.router == RouterKind::hash; });
  for (RouterVariant& variant : variants) variant.moe.capacity_factor = 0.0;
  return variants;
}

struct Choices final : ChoiceObserver {
  std::map<std::int64_t, std::vector<std::int64_t>> ids;
  std::map<std::int64_t, Numbers> weights;
  void on_choice(const ChoiceNote& note) override {
    CHECK(ids.emplace(note.layer, integers_of(note.id_NK)).second);
    weights.emplace(note.layer, values_of(note.weight_NK));
  }
};

}  // namespace

TEST_CASE("ablation: any number of activated and masked experts gives what plain float64 loops give") {
  for (const RouterVariant& variant : variants_with_scores()) {
    INFO(variant.name);
    const std::int64_t reach = variant.moe.experts_in_reach();
    for (std::int64_t k = 1; k <= reach; ++k) {
      MoeConfig moe = variant.moe;
      moe.num_experts_per_tok = k;
      Layer small(moe);
      for (std::int64_t masked = 0; masked <= reach - k; ++masked) {
        CAPTURE(k, masked);
        const Ablation ablation{.masked_experts = masked};
        CHECK(relative_difference(values_of(small.run(ablation)), small.expected(ablation)) <= 1e-10);
      }
    }
  }
}

TEST_CASE("ablation: without its shared experts a layer gives the routed ones alone, as plain loops do") {
  for (const RouterVariant& variant : variants_with_scores()) {
    INFO(variant.name);
    Layer small(variant.moe);
    const Ablation none{.shared = SharedExperts::left_out};
    const Numbers without = values_of(small.run(none));
    CHECK(relative_difference(without, small.expected(none)) <= 1e-10);
    const bool there = variant.moe.n_shared_experts > 0;
    CHECK((relative_difference(without, values_of(small.run({}))) > 1e-3) == there);
  }
}

TEST_CASE("ablation: a pass that leaves out nothing has the bits of a pass without the wish") {
  for (const RouterVariant& variant : router_variants()) {
    INFO(variant.name);
    for (const DType dtype : {DType::f32, DType::f64}) {
      Layer small(variant.moe, dtype);
      Choices choices;
      const Tensor plain = small.run({}), watched = small.run({.masked_experts = 0}, &choices);
      CHECK(same_bits(plain, watched));
      CHECK(choices.ids.at(0).size() == at(kTokens * variant.moe.num_experts_per_tok));
    }
  }
}

TEST_CASE("ablation: the observer of choices is told the experts of each token and their weights") {
  for (const RouterVariant& variant : variants_with_scores()) {
    INFO(variant.name);
    Layer small(variant.moe);
    Choices choices;
    static_cast<void>(small.run({.masked_experts = 1, .shared = SharedExperts::left_out}, &choices));
    // The outputs are the weighted experts that were told.
    const std::int64_t k = variant.moe.num_experts_per_tok, hidden = small_model_config().hidden_size;
    Numbers y;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      Numbers row(at(hidden), 0.0);
      for (std::int64_t i = t * k; i < (t + 1) * k; ++i)
        small.add_expert(row, choices.weights.at(0)[at(i)], &small.x[at(t * hidden)],
                         fmt::format("experts.{}", choices.ids.at(0)[at(i)]));
      y.insert(y.end(), row.begin(), row.end());
    }
    CHECK(relative_difference(values_of(small.run({1, SharedExperts::left_out})), y) <= 1e-10);
  }
}

TEST_CASE("ablation: a hash router has no scores, so it can mask no expert") {
  MoeConfig moe = small_moe_config();
  moe.router = RouterKind::hash;
  moe.hash_seed = 5;
  moe.aux_loss_alpha = 0.0;
  Layer small(moe);
  CHECK_THROWS_WITH(small.run({.masked_experts = 1}), Catch::Contains("it has no scores"));
  static_cast<void>(small.run({.shared = SharedExperts::left_out}));
}
