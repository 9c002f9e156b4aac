// Does one forward and one backward pass of a tiny MoE model with the installed library. Prints the loss, and
// whether the installed CUDA plug-in was loaded.
#include <fmt/format.h>

#include "autograd/tape.hpp"
#include "core/kernels/fill.hpp"
#include "core/plugin.hpp"
#include "core/transfer.hpp"
#include "moe/model/model.hpp"

int main() {
  using namespace granule;
  Context context;
  const ModelConfig config{.vocab_size = 11,
                           .hidden_size = 8,
                           .num_hidden_layers = 1,
                           .num_attention_heads = 2,
                           .num_key_value_heads = 2,
                           .intermediate_size = 16};
  const MoeConfig moe{
      .n_routed_experts = 4, .num_experts_per_tok = 2, .n_shared_experts = 1, .moe_intermediate_size = 8};
  Model model(context, config, moe, DType::f32, Gradients::yes);
  model.parameters().initialise(1, 0.02);
  model.parameters().begin_step();

  const std::vector<std::int32_t> text{0, 1, 2, 3, 4, 5, 6};
  const Tensor tokens = Tensor::empty(context, {6}, DType::i32);
  const Tensor targets = Tensor::empty(context, {6}, DType::i32);
  write(std::span(text).first(6), tokens);
  write(std::span(text).last(6), targets);
  const Pass pass{.context = context, .batch = 1, .seq = 6, .position_N = make_positions(context, 1, 6)};
  Tape tape;
  Var loss;
  {
    const Recording recording(&tape);
    loss = model.network().loss_sum(pass, tokens, targets);
  }
  Tensor seed = Tensor::zeros(context, {1}, DType::f64);
  fill(seed, 1.0 / 6);
  tape.backward({&loss, 1}, {&seed, 1});
  model.parameters().finish_gradients();

  const HostCopy<float> gradients = read_back<float>(model.parameters().gradients());
  const HostCopy<double> sum = read_back<double>(loss.value);
  double square = 0;
  for (const float g : gradients.get()) square += g * g;
  fmt::print("loss {:.4f} gradient {:.4f}\n", sum.get()[0] / 6, square);
  const CudaStatus cuda = load_cuda_plugin();
  fmt::print("cuda: {} slots, {} devices: {}\n", cuda.slots, cuda.devices, cuda.reason);
}
