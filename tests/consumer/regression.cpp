// Trains its own small network to compute sin(3a) · b, saves it, reads it back, and measures both.
#include <cmath>

#include <fmt/format.h>

#include "autograd/functions.hpp"
#include "core/kernels/fill.hpp"
#include "core/random.hpp"
#include "core/transfer.hpp"
#include "data/models/safetensors_writer.hpp"
#include "data/models/tensor_set.hpp"
#include "nn/parameters.hpp"
#include "optim/adamw.hpp"
#include "optim/grad_norm.hpp"

using namespace granule;

constexpr std::int64_t kRows = 64, kHidden = 32;

// The network has two inputs, one hidden layer and one output.
class Network {
 public:
  explicit Network(ParameterStore& store)
      : hidden_weight_(store.declare("hidden.weight", {kHidden, 2})),
        hidden_bias_(store.declare("hidden.bias", {kHidden}, ParameterRole::bias)),
        out_weight_(store.declare("out.weight", {1, kHidden})),
        out_bias_(store.declare("out.bias", {1}, ParameterRole::bias)) {}

  Var predict(const Var& x) const {
    const Var wide = linear(x, hidden_weight_);
    const Var biased = bias_add(wide, hidden_bias_);
    const Var active = gelu(biased);
    const Var sum = linear(active, out_weight_);
    return bias_add(sum, out_bias_);
  }

 private:
  Param hidden_weight_, hidden_bias_, out_weight_, out_bias_;
};

// The points of one step. They depend only on the step, so every run sees the same.
struct Batch {
  Tensor x, y;
  Batch(Context& context, std::int64_t step)
      : x(Tensor::empty(context, {kRows, 2}, DType::f32)), y(Tensor::empty(context, {kRows, 1}, DType::f32)) {
    const RandomStream points(1, "points");
    std::vector<float> inputs, outputs;
    for (std::int64_t i = 0; i < kRows; ++i) {
      const auto number = static_cast<std::uint64_t>(2 * (step * kRows + i));
      const double a = 2.0 * points.uniform(number) - 1.0, b = 2.0 * points.uniform(number + 1) - 1.0;
      inputs.push_back(static_cast<float>(a));
      inputs.push_back(static_cast<float>(b));
      outputs.push_back(static_cast<float>(std::sin(3.0 * a) * b));
    }
    write<float>(inputs, x);
    write<float>(outputs, y);
  }
};

// Matrices decay, and biases do not. The ranges cover the whole arena, including the gaps between parameters.
std::vector<DecayRange> decay_ranges(const ParameterStore& store) {
  std::vector<DecayRange> ranges;
  std::int64_t at = 0;
  for (const LogicalTensor& tensor : store.logical()) {  // in the order of the arena
    const std::int64_t end = tensor.offset + tensor.shape.numel();
    ranges.push_back({at, end, tensor.role == ParameterRole::matrix ? Decay::yes : Decay::no});
    at = end;
  }
  ranges.push_back({at, store.arena_size(), Decay::no});
  return ranges;
}

double train_step(Context& context, ParameterStore& store, const Network& network, AdamW& optimizer,
                  std::int64_t step) {
  const Batch batch(context, step);
  store.begin_step();
  Tape tape;
  Var loss;
  {
    const Recording recording(&tape);
    const Var prediction = network.predict({batch.x});
    loss = mse(prediction, {batch.y});
  }
  Tensor seed = Tensor::empty(context, {1}, DType::f64);
  fill(seed, 1.0);  // dL/dL
  tape.backward({&loss, 1}, {&seed, 1});
  store.finish_gradients();
  const double clip = clip_factor(gradient_norm(store.gradients()), 1.0);
  optimizer.step(store.values(), store.gradients(), 0.01, clip);
  return read_back<double>(loss.value).get()[0];
}

// Without a tape, nothing is recorded.
double measure(Context& context, const Network& network) {
  const Batch unseen(context, 1'000'000);
  const Var error = mse(network.predict({unseen.x}), {unseen.y});
  return read_back<double>(error.value).get()[0];
}

void save(const ParameterStore& store) {
  std::vector<TensorToSave> tensors;
  std::vector<HostCopy<float>> values;  // they stay here until they are written
  for (const LogicalTensor& tensor : store.logical()) {
    const auto dims = tensor.shape.dims();
    values.push_back(read_back<float>(store.value_of(tensor)));
    tensors.push_back(tensor_of_bytes({tensor.name, DType::f32, {dims.begin(), dims.end()}},
                                      std::as_bytes(values.back().get())));
  }
  write_tensors(".", "regression", tensors, std::int64_t{1} << 30, ShardNames::plain_when_single);
}

void load(const ParameterStore& store) {
  TensorSet saved;
  saved.add(SafetensorsFile::open("regression.safetensors"));
  for (const LogicalTensor& tensor : store.logical()) {
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.numel()));
    saved.read_into(tensor.name, tensor.shape.dims(), std::span(values));
    write<float>(values, store.value_of(tensor));
  }
}

int main() {
  Context context({.threads = 1});
  ParameterStore store;
  const Network network(store);
  store.materialise(context, DType::f32, Gradients::yes);
  store.initialise(1, 0.5);
  AdamW optimizer(context, {.weight_decay = 0.01}, DType::f32, store.arena_size(), decay_ranges(store));
  for (std::int64_t step = 1; step <= 600; ++step) {
    const double loss = train_step(context, store, network, optimizer, step);
    if (step == 1 || step % 200 == 0) fmt::print("step {:3}  loss {:.4f}\n", step, loss);
  }
  save(store);

  ParameterStore again;
  const Network same(again);
  again.materialise(context, DType::f32, Gradients::no);
  load(again);
  fmt::print("unseen points: {:.4f}, read back: {:.4f}\n", measure(context, network), measure(context, same));
}
