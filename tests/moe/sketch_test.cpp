// Compares what a sketch predicts for the memory of a micro-batch with what a real one needs, to the byte.
#include <algorithm>
#include <array>
#include <numeric>

#include "core/kernels/fill.hpp"
#include "distributed/communicators/mesh.hpp"
#include "moe/ops/hash_experts.hpp"
#include "moe/sketch/model.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/small_model.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Case {
  std::string name;
  ModelConfig model = small_model_config();
  MoeConfig moe = small_moe_config();
  MicroBatchShape shape{.batch = 2, .seq = 12};
  DType dtype = DType::f32;
};

Case edited(const std::string& name, const std::function<void(Case&)>& edit) {
  Case c{name};
  edit(c);
  return c;
}

std::vector<Case> cases() {
  return {
      edited("dense first, grouped queries, shared experts", [](Case&) {}),
      edited("as many key-value heads, tied",
             [](Case& c) {
               c.model.num_key_value_heads = 0;
               c.model.tie_word_embeddings = true;
             }),
      edited("no shared experts, every layer a mixture, top 1",
             [](Case& c) {
               c.moe.n_shared_experts = 0;
               c.moe.first_k_dense_replace = 0;
               c.moe.num_experts_per_tok = 1;
               c.moe.norm_topk_prob = true;
             }),
      edited("a dense model with biases",
             [](Case& c) {
               c.moe = {};
               c.model.attention_bias = true;
             }),
      edited("longer than a block of queries, two threads",
             [](Case& c) {
               c.model.max_position_embeddings = 150;
               c.shape.seq = 150;
               c.shape.threads = 2;
             }),
      edited("documents masked, balance by micro-batch, no balance loss",
             [](Case& c) {
               c.shape.documents = MicroBatchShape::Documents::masked;
               c.moe.seq_aux = false;
               c.moe.aux_loss_alpha = 0.0;
             }),
      edited("sigmoid scores with a bias, normalised, every loss",
             [](Case& c) {
               c.moe.scoring_func = ScoringFunction::sigmoid;
               c.moe.norm_topk_prob = true;
               c.moe.device_groups = 4;
               c.moe.device_loss_alpha = 0.05;
               c.moe.z_loss_alpha = 0.01;
             }),
      edited("hash router in float64",
             [](Case& c) {
               c.moe.router = RouterKind::hash;
               c.moe.hash_seed = 3;
               c.moe.aux_loss_alpha = 0.0;
               c.dtype = DType::f64;
             }),
      edited("more experts than width, a wide vocabulary, large rows",
             [](Case& c) {
               c.moe.n_routed_experts = 40;
               c.moe.num_experts_per_tok = 12;
               c.model.vocab_size = 1100;
               c.shape.batch = 9;
             }),
  };
}

MicroBatch batch_of(Context& context, const MicroBatchShape& shape, std::int64_t vocabulary) {
  const Shape rows{shape.batch * shape.seq};
  MicroBatch batch{Tensor::empty(context, rows, DType::i32), Tensor::empty(context, rows, DType::i32),
                   shape.batch, shape.seq};
  for (std::int64_t i = 0; i < rows.numel(); ++i) {
    batch.token_N.data<std::int32_t>()[i] = static_cast<std::int32_t>(7 * i % vocabulary);
    batch.target_N.data<std::int32_t>()[i] = static_cast<std::int32_t>(7 * (i + 1) % vocabulary);
  }
  if (shape.documents == MicroBatchShape::Documents::masked)
    batch.first_key_N = Tensor::zeros(context, rows, DType::i32);
  return batch;
}

/// Trains the micro-batch. The memory table of its context then has the peaks.
void train(SmallModel& small, const MicroBatchShape& shape) {
  small.record.measure_balance(small.model.precision().gradients, small.model.config().hidden_size);
  small.model.parameters().begin_step();
  const MicroBatch batch = batch_of(small.context, shape, small.model.config().vocab_size);
  train_micro_batch(small.model, batch, {shape.batch * shape.seq, shape.batch, 1}, shape.recompute,
                    {.routing = &small.record, .balance_gradients = small.record.balance_gradients()});
}

}  // namespace

TEST_CASE("a sketch holds what a micro-batch holds, to the byte, whatever is recomputed") {
  for (Case c : cases()) {
    for (const Recompute recompute : {Recompute::none, Recompute::feed_forward, Recompute::full}) {
      c.shape.recompute = recompute;
      c.shape.element_bytes = size_of(c.dtype);
      INFO(c.name << ", recompute " << static_cast<int>(recompute));
      SmallModel small(c.dtype, static_cast<int>(c.shape.threads), c.model, c.moe);
      train(small, c.shape);
      const MemoryTable &measured = small.context.memory(),
                        planned = sketch_micro_batch(c.model, c.moe, c.shape);
      const std::int64_t resident = measured.current_total();
      CHECK(planned.current_total() == 0);
      CHECK(planned.peak(MemoryCategory::activations) == measured.peak(MemoryCategory::activations));
      CHECK(planned.peak(MemoryCategory::scratch) == measured.peak(MemoryCategory::scratch));
      CHECK(planned.peak_total() == measured.peak_total() - resident);
    }
  }
}

namespace {

using Load = MicroBatchShape::Load;

/// Two tokens that together use all four experts, with the hash router of this seed.
std::array<std::int32_t, 2> complementary_tokens(Context& context, const MoeConfig& moe) {
  const Tensor tokens = Tensor::empty(context, {61}, DType::i32);
  std::iota(tokens.data<std::int32_t>(), tokens.data<std::int32_t>() + 61, 0);
  const Tensor id_NK = hash_experts(tokens, moe.n_routed_experts, 2, moe.hash_seed);
  const auto ids = id_NK.span<const std::int32_t>();
  for (std::int32_t t = 1; t < 61; ++t) {
    std::array four{ids[0], ids[1], ids[2 * std::size_t(t)], ids[2 * std::size_t(t) + 1]};
    std::sort(four.begin(), four.end());
    if (four == std::array{0, 1, 2, 3}) return {0, t};
  }
  throw Error(ExitCode::failure, "there are no such tokens", "expected in a test", "");
}

/// For an even load, a hash router and tokens that use every expert equally often. For the worst load, a
/// router whose scores are all equal, so the first experts are chosen.
MoeConfig experts_for(Load load) {
  MoeConfig moe = small_moe_config();
  moe.n_routed_experts = 4;
  moe.num_experts_per_tok = 2;
  if (load == Load::worst) return moe;
  moe.router = RouterKind::hash;
  moe.hash_seed = 3;
  moe.aux_loss_alpha = 0.0;
  return moe;
}

struct Peaks {
  std::int64_t activations, scratch, total;
};

/// The peaks of rank 0. With the worst load, its experts get all tokens.
Peaks measured_on_rank_0(const MoeConfig& moe, const MicroBatchShape& shape) {
  Peaks peaks{};
  run_ranks(static_cast<int>(shape.experts.ranks), [&](Communicator& world, Context&) {
    const Mesh mesh = make_mesh(world, {.ep = shape.experts.ranks}, moe.n_routed_experts);
    Context context({.threads = static_cast<int>(shape.threads), .step_memory = std::int64_t{1} << 28});
    Model model(context, small_model_config(), moe, DType::f32, Gradients::yes,
                {.experts = placement_over(*mesh.expert, shape.experts.receive_limit)});
    model.parameters().initialise(7, 0.2);
    for (const LogicalTensor& tensor : model.parameters().logical()) {
      if (tensor.name.ends_with(".gate.weight")) fill_zero(model.parameters().value_of(tensor));
    }
    RouterRecord record(context, model.moe_layers(), moe.n_routed_experts);
    model.parameters().begin_step();
    {
      MicroBatch batch = batch_of(context, shape, 61);
      if (shape.experts.load == Load::uniform) {
        const auto tokens = complementary_tokens(context, moe);
        for (std::int64_t i = 0; i < batch.token_N.numel(); ++i)
          batch.token_N.data<std::int32_t>()[i] = tokens[std::size_t(i % 2)];
      }
      train_micro_batch(model, batch, {shape.batch * shape.seq, shape.batch, 1}, shape.recompute,
                        {.routing = &record});
    }
    if (world.rank() != 0) return;
    const MemoryTable& memory = context.memory();
    peaks = {memory.peak(MemoryCategory::activations), memory.peak(MemoryCategory::scratch),
             memory.peak_total() - memory.current_total()};
  });
  return peaks;
}

}  // namespace

TEST_CASE("thread ranks: a sketch holds what a rank that shares out experts holds, to the byte") {
  for (const Load load : {Load::uniform, Load::worst}) {
    for (const std::int64_t ranks : {2, 4}) {
      for (const std::int64_t limit : {0, 31}) {
        for (const Recompute recompute : {Recompute::none, Recompute::feed_forward, Recompute::full}) {
          const MoeConfig moe = experts_for(load);
          const MicroBatchShape shape{.batch = 2,
                                      .seq = 12,
                                      .recompute = recompute,
                                      .experts = {.ranks = ranks, .receive_limit = limit, .load = load}};
          INFO("load " << int(load) << ", ranks " << ranks << ", limit " << limit << ", recompute "
                       << int(recompute));
          const MemoryTable planned = sketch_micro_batch(small_model_config(), moe, shape);
          const Peaks measured = measured_on_rank_0(moe, shape);
          CHECK(planned.peak(MemoryCategory::activations) == measured.activations);
          CHECK(planned.peak(MemoryCategory::scratch) == measured.scratch);
          CHECK(planned.peak_total() == measured.total);
        }
      }
    }
  }
}

TEST_CASE("with a receive limit the worst load costs no more than the limit's rows") {
  MicroBatchShape shape{
      .batch = 2, .seq = 12, .experts = {.ranks = 4, .receive_limit = 31, .load = Load::worst}};
  const auto peak = [&] {
    return sketch_micro_batch(small_model_config(), experts_for(Load::worst), shape).peak_total();
  };
  const std::int64_t limited = peak();
  shape.batch = 2;
  shape.experts.receive_limit = 0;
  CHECK(limited < peak());
  shape.experts.receive_limit = 4 * 24 * 2;  // enough for all copies
  const std::int64_t whole = peak();
  shape.experts.receive_limit = 0;
  CHECK(whole == peak());
}
