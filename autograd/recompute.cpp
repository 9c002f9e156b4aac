#include "autograd/recompute.hpp"

namespace granule {
namespace {

class RecomputeNode final : public Node {
 public:
  RecomputeNode(Region region, Kept kept, std::vector<Var> inputs, std::vector<Slot> outputs)
      : region_(std::move(region)),
        kept_(std::move(kept)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)) {}

  void backward(Tape& outer) override {
    std::vector<Tensor> seeds;
    bool reached = false;
    for (const Slot output : outputs_) {
      seeds.push_back(outer.take_grad(output));
      reached |= seeds.back().defined();
    }
    if (!reached) return;
    Tape inner;
    const std::vector<Var> inputs = inner_inputs(inner);
    std::vector<Var> outputs;
    {
      const Recording on(&inner);
      kept_.replay();
      outputs = region_(kept_, inputs);
    }
    GRANULE_ASSERT(outputs.size() == seeds.size(), "recompute: {} outputs, {} before", outputs.size(),
                   seeds.size());
    run_backward(inner, outputs, std::move(seeds));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].slot == kConstant) continue;
      if (Tensor grad = inner.take_grad(inputs[i].slot); grad.defined())
        outer.add_grad(inputs_[i].slot, std::move(grad));
    }
  }

 private:
  [[nodiscard]] std::vector<Var> inner_inputs(Tape& inner) const {
    std::vector<Var> inputs;
    for (const Var& input : inputs_) {
      inputs.push_back(input.slot == kConstant ? input : inner.input(input.value));
    }
    return inputs;
  }
  static void run_backward(Tape& inner, const std::vector<Var>& outputs, std::vector<Tensor> seeds) {
    std::vector<Var> used;
    std::vector<Tensor> used_seeds;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!seeds[i].defined() || outputs[i].slot == kConstant) continue;
      used.push_back(outputs[i]);
      used_seeds.push_back(std::move(seeds[i]));
    }
    inner.backward(used, std::move(used_seeds));
  }

  Region region_;
  Kept kept_;
  std::vector<Var> inputs_;
  std::vector<Slot> outputs_;
};

}  // namespace

const std::any& Kept::next() {
  GRANULE_ASSERT(cursor_ < decisions_.size(), "recompute: the second run asks for more than the first kept");
  return decisions_[cursor_++];
}

std::vector<Var> recompute(const Region& region, const std::vector<Var>& inputs) {
  Tape* const tape = current_tape();
  Kept kept(tape == nullptr ? Kept::Mode::pass : Kept::Mode::keep);
  if (tape == nullptr) return region(kept, inputs);
  for (const Var& input : inputs) tape->check_own(input, "recompute: an input");
  std::vector<Var> outputs;
  {
    const Recording off(nullptr);
    std::vector<Var> constants;
    for (const Var& input : inputs) constants.push_back({input.value, kConstant});
    outputs = region(kept, constants);
  }
  std::vector<Slot> slots;
  for (Var& output : outputs) {
    slots.push_back(tape->new_slot());
    output = tape->output(std::move(output.value), slots.back());
  }
  tape->push(std::make_unique<RecomputeNode>(region, std::move(kept), inputs, std::move(slots)));
  return outputs;
}

}  // namespace granule
