// Compares whole models whose experts are sharded over thread ranks with the same models on one rank. It
// covers losses, gradients, counts, what is recomputed and what is sent.
#include <algorithm>
#include <array>
#include <map>

#include "distributed/communicators/mesh.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/router_variants.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

// The same sums in another order, through three layers, have some hundred roundings of 1e-16.
constexpr double kTolerance = 1e-12;

struct Layout {
  int ranks = 2;
  std::int64_t ep = 2;
  std::int64_t receive_limit = 0;
  Recompute recompute = Recompute::none;
  std::int64_t sequences = 2;  ///< in each rank's micro-batch
  int idle_from = 1000;        ///< this rank and those after it get a micro-batch without sequences
};

/// A step over all ranks. Counts and gradients by name are summed over the ranks that hold a parameter. Each
/// rank knows the losses of all.
struct Step {
  LossReport report;
  std::vector<std::int64_t> counts;
  std::map<std::string, Numbers> gradients;

  void add(const Step& other) {
    report = other.report;
    counts.resize(other.counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    for (const auto& [name, values] : other.gradients) {
      Numbers& sum = gradients[name];
      sum.resize(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
    }
  }
};

using Change = std::function<void(Model&)>;

/// A model whose step memory starts as NaN. A test may change the model before its step.
struct Subject {
  Model model;
  RouterRecord record;
  Subject(Context& context, const MoeConfig& moe, const ExpertPlacement& placement, const Change& change)
      : model(context, small_model_config(), moe, DType::f64, Gradients::yes, {.experts = placement}),
        record(context, model.moe_layers(), moe.n_routed_experts) {
    model.parameters().initialise(7, model.config().initializer_range);
    record.begin_step();
    model.parameters().begin_step();
    if (change) change(model);
  }
  Step step(const LossReport& report) {
    model.parameters().finish_gradients();
    Step step{report, {record.counts().begin(), record.counts().end()}, {}};
    for (const LogicalTensor& tensor : model.parameters().logical())
      step.gradients[tensor.name] = values_of(model.parameters().gradient_of(tensor));
    return step;
  }
};

ContextOptions poisoned() {
  return {.poison = Poison::yes, .step_memory = std::int64_t{1} << 28};
}

std::int64_t busy(const Layout& layout) {
  return std::min(layout.ranks, layout.idle_from);
}

StepTotals totals_of(const Layout& layout) {
  const std::int64_t sequences = busy(layout) * layout.sequences;
  return {sequences * kSmallSeq, sequences, busy(layout)};
}

/// Each rank has one micro-batch.
Step on_ranks(const MoeConfig& moe, const Layout& layout, const Change& change = {}) {
  std::vector<Step> steps(static_cast<std::size_t>(layout.ranks));
  run_ranks(layout.ranks, [&](Communicator& world, Context&) {
    const Mesh mesh = make_mesh(world, {.ep = layout.ep}, moe.n_routed_experts);
    TestContext context(poisoned());
    Subject subject(context, moe, placement_over(*mesh.expert, layout.receive_limit), change);
    const std::int64_t count = world.rank() < busy(layout) ? layout.sequences : 0;
    const MicroBatch batch =
        small_batch(context, subject.model.config(), world.rank() * layout.sequences, count);
    LossReport report =
        trained(subject.model, batch, totals_of(layout), layout.recompute, {.routing = &subject.record});
    report.add_ranks(world);
    steps[static_cast<std::size_t>(world.rank())] = subject.step(report);
  });
  Step all;
  for (const Step& step : steps) all.add(step);
  return all;
}

/// The same micro-batches, one after the other, with all experts on one rank.
Step on_one_rank(const MoeConfig& moe, const Layout& layout, const Change& change = {}) {
  TestContext context(poisoned());
  Subject subject(context, moe, {}, change);
  LossRecord losses(context, moe, subject.model.moe_layers());
  for (std::int64_t i = 0; i < busy(layout); ++i) {
    const MicroBatch batch =
        small_batch(context, subject.model.config(), i * layout.sequences, layout.sequences);
    train_micro_batch(subject.model, batch, totals_of(layout), layout.recompute,
                      {.losses = &losses, .routing = &subject.record});
  }
  return subject.step(losses.report());
}

double relative(const std::vector<double>& a, const std::vector<double>& b) {
  return relative_difference(std::span<const double>(a), b);
}

void check_same(const Step& a, const Step& b) {
  CHECK(std::abs(a.report.ce - b.report.ce) <= kTolerance * b.report.ce);
  CHECK(relative(a.report.aux_by_layer, b.report.aux_by_layer) <= kTolerance);
  CHECK(relative(a.report.device_aux_by_layer, b.report.device_aux_by_layer) <= kTolerance);
  CHECK(relative(a.report.z_by_layer, b.report.z_by_layer) <= kTolerance);
  CHECK(a.counts == b.counts);
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (const auto& [name, gradient] : b.gradients) {
    CAPTURE(name);
    CHECK(relative(a.gradients.at(name), gradient) <= kTolerance);
  }
}

}  // namespace

TEST_CASE(
    "remote_experts_model: every kind of mixture trains alike with its experts on one rank and on two thread "
    "ranks") {
  for (const RouterVariant& variant : router_variants()) {
    CAPTURE(variant.name);
    check_same(on_ranks(variant.moe, {}), on_one_rank(variant.moe, {}));
  }
}

TEST_CASE(
    "remote_experts_model: experts on thread ranks of every layout train as on one, however few rows a rank "
    "may receive") {
  const MoeConfig moe = small_moe_config();
  for (const auto& [ranks, ep] : std::vector<std::pair<int, std::int64_t>>{{4, 1}, {4, 2}, {4, 4}}) {
    const Step expected = on_one_rank(moe, {.ranks = ranks});
    for (const std::int64_t limit : {0, 7, 1000}) {
      CAPTURE(ranks, ep, limit);
      check_same(on_ranks(moe, {.ranks = ranks, .ep = ep, .receive_limit = limit}), expected);
    }
  }
}

TEST_CASE(
    "remote_experts_model: all tokens to one expert of a thread rank train as on one rank, with and without "
    "a limit") {
  MoeConfig moe = small_moe_config();
  moe.num_experts_per_tok = 1;
  moe.bias_update_speed = 0.001;
  const Change attract = [](Model& model) {
    for (const std::int64_t layer : model.moe_layers()) {
      const State& bias =
          model.parameters().state(fmt::format("model.layers.{}.mlp.gate.e_score_correction_bias", layer));
      Numbers values = values_of(bias.value);
      values[5] = 100.0;
      write_values(values, bias.value);
    }
  };
  const Step expected = on_one_rank(moe, {}, attract);
  CHECK(expected.counts[5] == 2 * 2 * kSmallSeq);
  const Step unlimited = on_ranks(moe, {}, attract);
  check_same(unlimited, expected);
  for (const std::int64_t limit : {1, 10}) {
    CAPTURE(limit);
    check_same(on_ranks(moe, {.receive_limit = limit}, attract), unlimited);
  }
}

TEST_CASE(
    "remote_experts_model: recomputation changes no bit where experts are on thread ranks, in one round and "
    "in several") {
  for (const std::int64_t limit : {0, 9}) {
    const Step plain = on_ranks(small_moe_config(), {.receive_limit = limit});
    for (const Recompute recompute : {Recompute::feed_forward, Recompute::full}) {
      CAPTURE(limit);
      const Step again = on_ranks(small_moe_config(), {.receive_limit = limit, .recompute = recompute});
      CHECK(again.report.ce == plain.report.ce);
      CHECK(again.report.aux_by_layer == plain.report.aux_by_layer);
      CHECK(again.counts == plain.counts);
      CHECK(again.gradients == plain.gradients);
    }
  }
}

TEST_CASE(
    "remote_experts_model: a thread rank without a token takes part, and all others train as without it") {
  for (const char* const name : {"softmax, as DeepSeekMoE", "token-level loss with sigmoid",
                                 "all losses at once", "capacity", "hash"}) {
    const auto variants = router_variants();
    const auto variant =
        std::find_if(variants.begin(), variants.end(), [&](const auto& v) { return v.name == name; });
    REQUIRE(variant != variants.end());
    CAPTURE(name);
    const Layout layout{.ranks = 4, .ep = 4, .idle_from = 3};
    check_same(on_ranks(variant->moe, layout), on_one_rank(variant->moe, layout));
  }
}

TEST_CASE("remote_experts_model: thread ranks of which none has a token evaluate to nothing") {
  run_ranks(2, [](Communicator& world, Context& context) {
    const Mesh mesh = make_mesh(world, {.ep = 2}, 8);
    Subject subject(context, small_moe_config(), placement_over(*mesh.expert, 3), {});
    const LossReport report =
        evaluated(subject.model, context, small_batch(context, subject.model.config(), 0, 0), {1, 1, 1},
                  {.routing = &subject.record});
    expect(report.ce == 0.0 && report.aux() == 0.0, "no loss");
  });
}

TEST_CASE(
    "remote_experts_model: a thread rank declares its own experts by their global names, and everything else "
    "whole") {
  std::array<std::vector<std::string>, 2> names;
  run_ranks(2, [&](Communicator& world, Context& context) {
    const Mesh mesh = make_mesh(world, {.ep = 2}, 8);
    const Model model(context, small_model_config(), small_moe_config(), DType::f64, Gradients::no,
                      {.experts = placement_over(*mesh.expert, 0)});
    for (const LogicalTensor& tensor : model.parameters().logical())
      names[static_cast<std::size_t>(world.rank())].push_back(tensor.name);
  });
  TestContext context;
  const Model whole(context, small_model_config(), small_moe_config(), DType::f64, Gradients::no);
  for (const LogicalTensor& tensor : whole.parameters().logical()) {
    CAPTURE(tensor.name);
    const auto has = [&](std::size_t rank) {
      return std::find(names[rank].begin(), names[rank].end(), tensor.name) != names[rank].end();
    };
    const auto place = tensor.name.find(".experts.");
    const bool routed = place != std::string::npos;
    const bool second = routed && tensor.name[place + 9] >= '4';
    CHECK(has(0) == (!routed || !second));
    CHECK(has(1) == (!routed || second));
  }
}

TEST_CASE(
    "remote_experts_model: thread ranks send counts once a layer, and rows once each way, recomputed or "
    "not") {
  // Rank 0 sends its rows for the experts 4 to 7 to rank 1, and their gradients come back. Outputs and row
  // gradients go to the rank that the rows came from.
  const MoeConfig moe = small_moe_config();
  struct Sent {
    std::int64_t counts, rows, outputs, output_gradients, row_gradients;
  };
  for (const Recompute recompute : {Recompute::none, Recompute::feed_forward}) {
    for (const std::int64_t limit : {0, 9}) {
      CAPTURE(limit);
      std::array<Sent, 2> sent{};
      std::array<std::int64_t, 2> for_other{};
      run_ranks(2, [&](Communicator& world, Context& context) {
        const Mesh mesh = make_mesh(world, {.ep = 2}, 8);
        const auto me = static_cast<std::size_t>(world.rank());
        Subject subject(context, moe, placement_over(*mesh.expert, limit), {});
        const MicroBatch batch = small_batch(context, subject.model.config(), 2 * world.rank(), 2);
        train_micro_batch(subject.model, batch, {4 * kSmallSeq, 4, 2}, recompute,
                          {.routing = &subject.record});
        for (std::size_t i = 0; i < subject.record.counts().size(); ++i)
          for_other[me] += (i % 8 < 4) == (me == 1) ? subject.record.counts()[i] : 0;
        const Ledger& ledger = world.ledger();
        const auto bytes = [&](std::string_view phase) {
          return ledger.bytes(CollectiveKind::all_to_all, phase);
        };
        sent[me] = {ledger.bytes(CollectiveKind::all_gather, "expert counts"), bytes("expert rows"),
                    bytes("expert outputs"), bytes("expert output gradients"), bytes("expert row gradients")};
      });
      // With recomputation, rows are sent once more to compute again what was not kept. Several rounds do
      // that, too.
      const std::int64_t times = 1 + (recompute == Recompute::none ? 0 : 1) + (limit == 0 ? 0 : 1);
      const std::int64_t forwards = recompute == Recompute::none ? 1 : 2;
      for (const std::size_t me : {0U, 1U}) {
        const std::int64_t row = 24 * 8, other = 1 - static_cast<std::int64_t>(me);
        const std::int64_t mine = row * for_other[me],
                           others = row * for_other[static_cast<std::size_t>(other)];
        CHECK(mine > 0);
        CHECK(sent[me].counts == 2 * 8 * 8);  // two layers, eight experts, 8 bytes for each
        CHECK(sent[me].rows == times * mine);
        CHECK(sent[me].outputs == forwards * others);
        CHECK(sent[me].output_gradients == mine);
        CHECK(sent[me].row_gradients == others);
      }
    }
  }
}
