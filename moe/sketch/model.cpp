#include "moe/sketch/model.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "moe/routing/selection.hpp"
#include "moe/sketch/layers.hpp"

namespace granule {
namespace sketch {
namespace {

/// train_micro_batch
void train(Sketch& sketch, const Layers& layers, const MicroBatchShape& shape) {
  const std::int64_t N = shape.batch * shape.seq;
  const bool masked = shape.documents == MicroBatchShape::Documents::masked;
  const Tensor tokens = sketch.words(N), targets = sketch.words(N);
  const Tensor first_key = masked ? sketch.words(N) : nullptr;
  std::vector<Pass::Loss> losses;
  const Pass pass{.batch = shape.batch,
                  .seq = shape.seq,
                  .position = sketch.words(N),
                  .first_key = first_key,
                  .recompute = shape.recompute,
                  .losses = &losses};
  Tape tape;
  std::vector<Var> outputs;
  {
    const Sketch::Recording on(sketch, &tape);
    outputs.push_back(layers.loss_sum(pass));
  }
  std::vector<Tensor> seeds{sketch.longs(1)};
  for (const Pass::Loss& loss : losses) {
    if (loss.alpha == 0.0) continue;
    outputs.push_back(loss.value);
    seeds.push_back(sketch.longs(1));
  }
  tape.backward(sketch, outputs, seeds);
}

}  // namespace
}  // namespace sketch

namespace {

using Load = MicroBatchShape::Load;

/// The plan of ranks whose tokens all take the same ways.
ExchangePlan exchange_plan(const std::vector<std::int64_t>& rows, const MicroBatchShape::Experts& experts) {
  std::vector<std::int64_t> count_SE;
  for (std::int64_t rank = 0; rank < experts.ranks; ++rank)
    count_SE.insert(count_SE.end(), rows.begin(), rows.end());
  return {count_SE, static_cast<int>(experts.ranks), 0, experts.receive_limit};
}

}  // namespace

std::vector<std::int64_t> rows_by_expert(const MoeConfig& moe, std::int64_t N, Load load) {
  const std::int64_t E = moe.n_routed_experts;
  const std::int64_t most = moe.capacity_factor > 0.0 ? std::min(N, expert_capacity(moe, N)) : N;
  std::int64_t left = E > 0 ? N * moe.num_experts_per_tok : 0;
  std::vector<std::int64_t> rows;
  for (std::int64_t e = 0; e < E; ++e) {
    const std::int64_t share = load == Load::worst ? left : (left + E - e - 1) / (E - e);
    rows.push_back(std::min(most, share));
    left -= load == Load::worst ? rows.back() : share;
  }
  return rows;
}

MemoryTable sketch_micro_batch(const ModelConfig& model, const MoeConfig& moe, const MicroBatchShape& shape) {
  const std::vector<std::int64_t> rows = rows_by_expert(moe, shape.batch * shape.seq, shape.experts.load);
  std::optional<ExchangePlan> exchange;
  if (shape.experts.ranks > 1) exchange = exchange_plan(rows, shape.experts);
  const sketch::ExpertRows expert_rows{std::accumulate(rows.begin(), rows.end(), std::int64_t{0}),
                                       exchange ? &*exchange : nullptr};
  sketch::Sketch sketch(shape.element_bytes, shape.threads);
  sketch::train(sketch, sketch::Layers(sketch, model, moe, expert_rows), shape);
  return sketch.memory();
}

}  // namespace granule
