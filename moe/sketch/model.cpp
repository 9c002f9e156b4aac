#include "moe/sketch/model.hpp"

#include "moe/sketch/layers.hpp"

namespace granule {

MemoryTable sketch_micro_batch(const ModelConfig& model, const MoeConfig& moe, const MicroBatchShape& shape) {
  using namespace sketch;
  Sketch sketch(shape.element_bytes, shape.threads);
  {
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
    const Layers layers(sketch, model, moe);
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
  return sketch.memory();
}

}  // namespace granule
