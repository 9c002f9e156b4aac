// Different ways to compute the same step, which must give the same result.
#include <cmath>

#include "optim/adamw.hpp"
#include "optim/grad_norm.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

MoeConfig with(void (*change)(MoeConfig&)) {
  MoeConfig config = small_moe_config();
  change(config);
  return config;
}

}  // namespace

TEST_CASE(
    "equivalence: cutting a batch into other micro-batches changes no gradient under the sequence-level "
    "loss") {
  SmallModel whole(DType::f64), halves(DType::f64), quarters(DType::f64);
  const LossReport a = whole.run(4, 4), b = halves.run(4, 2), c = quarters.run(4, 1);
  CHECK(std::abs(a.ce - b.ce) <= 1e-14 * a.ce);
  CHECK(std::abs(a.aux() - c.aux()) <= 1e-14 * a.aux());
  CHECK(relative_difference(halves.gradients(), whole.gradients()) <= 1e-12);
  CHECK(relative_difference(quarters.gradients(), whole.gradients()) <= 1e-12);
  CHECK(whole.record.counts(0).size() == 8);
  CHECK(std::equal(whole.record.counts().begin(), whole.record.counts().end(),
                   quarters.record.counts().begin()));
}

TEST_CASE("equivalence: under the token-level loss a step is the mean over its micro-batches") {
  const MoeConfig moe = with([](MoeConfig& c) { c.seq_aux = false; });
  for (const std::int64_t micro : {1, 2, 4}) {
    CAPTURE(micro);
    SmallModel step(DType::f64, 1, small_model_config(), moe);
    const LossReport report = step.run(4, micro);
    // Each micro-batch alone is a step. The mean of these steps must be the whole step.
    std::vector<double> mean(step.gradients().size(), 0.0);
    double aux = 0.0;
    for (std::int64_t first = 0; first < 4; first += micro) {
      SmallModel alone(DType::f64, 1, small_model_config(), moe);
      alone.model.parameters().begin_step();
      const LossReport part =
          trained(alone.model, small_batch(alone.context, small_model_config(), first, micro),
                  {micro * kSmallSeq, micro, 1}, Recompute::none, {});
      alone.model.parameters().finish_gradients();
      const auto gradients = alone.gradients();
      const double share = static_cast<double>(micro) / 4.0;
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += share * gradients[i];
      aux += share * part.aux();
    }
    CHECK(std::abs(report.aux() - aux) <= 1e-14 * aux);
    CHECK(relative_difference(step.gradients(), mean) <= 1e-12);
  }
}

TEST_CASE("equivalence: recomputation changes no bit of losses, gradients or counts, in f32 and f64") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Recompute recompute : {Recompute::feed_forward, Recompute::full}) {
      SmallModel plain(dtype, 2), again(dtype, 2);
      const LossReport a = plain.run(4, 2, Recompute::none), b = again.run(4, 2, recompute);
      CHECK(a.ce == b.ce);
      CHECK(a.aux_by_layer == b.aux_by_layer);
      CHECK(plain.gradients() == again.gradients());
      CHECK(std::equal(plain.record.counts().begin(), plain.record.counts().end(),
                       again.record.counts().begin()));
    }
  }
}

TEST_CASE("equivalence: the more is recomputed, the fewer activations are kept at the peak") {
  const auto peak = [](Recompute recompute) {
    SmallModel model(DType::f32);
    model.run(8, 8, recompute);
    return model.context.memory().peak(MemoryCategory::activations);
  };
  CHECK(peak(Recompute::full) < peak(Recompute::feed_forward));
  CHECK(peak(Recompute::feed_forward) < peak(Recompute::none));
}

TEST_CASE("equivalence: 1, 2 and 3 threads give the same bits") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    SmallModel one(dtype, 1), two(dtype, 2), three(dtype, 3);
    const LossReport a = one.run(4, 2), b = two.run(4, 2), c = three.run(4, 2);
    CHECK(a.ce == b.ce);
    CHECK(a.ce == c.ce);
    CHECK(one.gradients() == two.gradients());
    CHECK(one.gradients() == three.gradients());
  }
}

TEST_CASE(
    "equivalence: the balance loss reaches the router in proportion to alpha, whatever the accumulation") {
  const std::string router = "model.layers.1.mlp.gate.weight";
  const auto gradient = [&](double alpha, std::int64_t micro) {
    MoeConfig moe = small_moe_config();
    moe.aux_loss_alpha = alpha;
    SmallModel model(DType::f64, 1, small_model_config(), moe);
    model.run(4, micro);
    return model.gradient(router);
  };
  const auto none = gradient(0.0, 4), once = gradient(0.05, 4), twice = gradient(0.1, 4),
             cut = gradient(0.05, 1);
  std::vector<double> effect(once.size()), doubled(once.size());
  for (std::size_t i = 0; i < once.size(); ++i) {
    effect[i] = once[i] - none[i];
    doubled[i] = 0.5 * (twice[i] - none[i]);
  }
  double largest = 0.0;
  for (const double e : effect) largest = std::max(largest, std::abs(e));
  CHECK(largest > 1e-6);  // it does reach the router
  // They are differences of gradients that are a thousand times larger.
  CHECK(relative_difference(doubled, effect) <= 1e-10);
  CHECK(relative_difference(cut, once) <= 1e-12);
}

TEST_CASE("equivalence: with alpha 0 the balance loss is reported and has no gradient") {
  const MoeConfig zero = with([](MoeConfig& c) { c.aux_loss_alpha = 0.0; });
  SmallModel model(DType::f64, 1, small_model_config(), zero);
  const LossReport report = model.run(4, 4);
  CHECK(report.aux() > 0.5);
  // The same step without any balance loss.
  SmallModel bare(DType::f64, 1, small_model_config(), zero);
  bare.model.parameters().begin_step();
  const MicroBatch batch = small_batch(bare.context, bare.model.config(), 0, 4);
  Tape tape;
  std::vector<Var> outputs;
  {
    const Recording on(&tape);
    const Pass pass{.context = bare.context,
                    .batch = 4,
                    .seq = kSmallSeq,
                    .position_N = make_positions(bare.context, 4, kSmallSeq)};
    outputs.push_back(bare.model.network().loss_sum(pass, batch.token_N, batch.target_N));
  }
  const Tensor seed =
      tensor_of(bare.context, {1}, DType::f64, Numbers{cross_entropy_weight({4 * kSmallSeq, 4, 1})});
  tape.backward(outputs, std::vector<Tensor>{seed});
  bare.model.parameters().finish_gradients();
  CHECK(model.gradients() == bare.gradients());
}

TEST_CASE("equivalence: the gradient is the directional derivative of the objective in a random direction") {
  // Routing must not change within the step h. The top-k gaps of this model are far above 1e-6. The central
  // difference has the error h² f''' and the rounding 1e-16 / h. For h = 1e-5, both are below 1e-8 of the
  // slope.
  SmallModel at(DType::f64);
  const StepTotals totals{4 * kSmallSeq, 4, 1};
  at.run(4, 4);
  const auto gradient = at.gradients();
  const Tensor& parameters = at.model.parameters().values();
  const Numbers values = values_of(parameters);
  const auto direction = normal_values(static_cast<std::int64_t>(values.size()), 11);
  const MicroBatch batch = small_batch(at.context, at.model.config(), 0, 4);
  const auto objective = [&](double h) {
    Numbers moved = values;
    for (std::size_t i = 0; i < values.size(); ++i) moved[i] += h * direction[i];
    write_values(moved, parameters);
    const LossReport report = evaluated(at.model, at.context, batch, totals, {});
    double sum = report.ce;
    for (const double aux : report.aux_by_layer) sum += at.model.moe().aux_loss_alpha * aux;
    return sum;
  };
  double slope = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) slope += gradient[i] * direction[i];
  const double h = 1e-6;
  CHECK((objective(h) - objective(-h)) / (2 * h) == Approx(slope).epsilon(1e-7));
}

TEST_CASE("equivalence: a model of dense layers only trains without any balance loss") {
  const MoeConfig dense = with([](MoeConfig& c) { c.n_routed_experts = 0; });
  SmallModel model(DType::f64, 1, small_model_config(), dense);
  const LossReport report = model.run(4, 2);
  CHECK(report.aux_by_layer.empty());
  CHECK(std::isfinite(report.ce));
  CHECK(model.model.moe_layers().empty());
}

TEST_CASE("equivalence: a small model learns one batch by heart") {
  SmallModel model(DType::f32, 2);
  ParameterStore& store = model.model.parameters();
  AdamW optimizer(model.context, {.weight_decay = 0.0}, DType::f32, store.values().numel(),
                  {{0, store.values().numel(), Decay::no}});
  const double first = model.run(4, 4).ce;
  double last = first;
  for (int step = 0; step < 150; ++step) {
    last = model.run(4, 4).ce;
    optimizer.step(store.values(), store.gradients(), 5e-3,
                   clip_factor(gradient_norm(store.gradients()), 1.0));
  }
  CHECK(first > 3.0);  // log 61 = 4.1 at the start
  CHECK(last < 0.05);
}

namespace {

struct UnitLog final : UnitObserver {
  std::vector<std::string> lines;
  void enter(std::int64_t unit, Direction direction) override { note("enter", unit, direction); }
  void leave(std::int64_t unit, Direction direction) override { note("leave", unit, direction); }
  void note(const char* what, std::int64_t unit, Direction direction) {
    lines.push_back(
        fmt::format("{} {} {}", what, unit, direction == Direction::forward ? "forward" : "backward"));
  }
};

}  // namespace

TEST_CASE("equivalence: units are entered and left on both sides, in mirrored order, recomputed or not") {
  for (const Recompute recompute : {Recompute::none, Recompute::feed_forward, Recompute::full}) {
    SmallModel model(DType::f64);
    UnitLog log;
    model.run(2, 2, recompute, &log);
    std::vector<std::string> expected;
    for (const int unit : {0, 1, 2, 3, 4}) {
      expected.push_back(fmt::format("enter {} forward", unit));
      expected.push_back(fmt::format("leave {} forward", unit));
    }
    for (const int unit : {4, 3, 2, 1, 0}) {
      expected.push_back(fmt::format("enter {} backward", unit));
      expected.push_back(fmt::format("leave {} backward", unit));
    }
    CHECK(log.lines == expected);
  }
}
