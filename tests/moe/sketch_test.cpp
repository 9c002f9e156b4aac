// What a sketch says a micro-batch holds, against what one does hold: to the byte.
#include <catch2/catch.hpp>

#include "moe/sketch/model.hpp"
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

/// The table of a context in which the micro-batch was trained.
void train(SmallModel& small, const MicroBatchShape& shape) {
  small.record.measure_balance(small.context, small.model.dtype(), small.model.config().hidden_size);
  small.model.parameters().begin_step();
  const MicroBatch batch = batch_of(small.context, shape, small.model.config().vocab_size);
  static_cast<void>(train_micro_batch(small.model, batch, {shape.batch * shape.seq, shape.batch, 1},
                                      shape.recompute, {.routing = &small.record}));
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
