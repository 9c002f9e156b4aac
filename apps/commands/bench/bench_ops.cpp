#include <deque>
#include <memory>

#include "apps/commands/bench/bench_rates.hpp"
#include "autograd/functions.hpp"
#include "moe/functions.hpp"
#include "moe/ops/count_choices.hpp"
#include "moe/routing/selection.hpp"

namespace granule {
namespace {

/// What one direction of an operator needs at least. Each byte is read or written once.
struct Work {
  double flops = 0.0, bytes = 0.0;
};

/// Makes the inputs of operators and turns a recorded use of one into two pieces of work.
class OperatorBench {
 public:
  OperatorBench(Context& context, DType dtype) : context_(context), dtype_(dtype) {}

  [[nodiscard]] Tensor random(const Shape& shape) { return random_tensor(context_, shape, dtype_); }
  /// For scores, weights of copies and gradients of parameters.
  [[nodiscard]] Tensor random_wide(const Shape& shape) {
    return random_tensor(context_, shape, wide_of(dtype_));
  }
  /// 0, 1, …, below − 1, 0, 1, …
  [[nodiscard]] Tensor ids(std::int64_t count, std::int64_t below) {
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
      numbers[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % below);
    Tensor tensor = Tensor::empty(context_, {count}, DType::i32);
    write<std::int32_t>(numbers, tensor);
    return tensor;
  }
  [[nodiscard]] Param parameter(const Shape& shape) {
    leaves_->push_back({random(shape), {random_wide(shape), 0.0}});
    return {&leaves_->back()};
  }

  /// Adds forward and backward of the operator called `phase`, which `use` applies once.
  void add(const std::string& phase, const Work& forward, const Work& backward, const Tensor& x,
           std::function<Var(const Var&)> use) {
    const Run run = run_of(x, std::move(use));
    add_piece(phase, "forward", forward, run);
    add_piece(phase, "backward", backward, run);
  }
  /// The same for an operator that only hands its gradient on.
  void add(const std::string& phase, const Work& forward, const Tensor& x,
           std::function<Var(const Var&)> use) {
    add_piece(phase, "forward", forward, run_of(x, std::move(use)));
  }
  [[nodiscard]] std::vector<BenchPiece> take() { return std::move(pieces_); }

 private:
  /// Runs both directions and returns the seconds of a phase.
  using Run = std::function<double(const std::string& phase, const CacheFiller& cache)>;

  Run run_of(const Tensor& x, std::function<Var(const Var&)> use) {
    const auto seed = std::make_shared<Tensor>();
    return [this_context = &context_, leaves = leaves_, x, seed, use = std::move(use)](
               const std::string& name, const CacheFiller& cache) {
      Context& context = *this_context;
      context.profile().start();
      Tape tape;
      const Var input = tape.input(x);
      {
        const Recording on(&tape);
        cache.fill();
        const Var y = use(input);
        if (!seed->defined()) *seed = random_tensor(context, y.value.shape(), y.value.dtype());
        cache.fill();
        tape.backward(std::vector<Var>{y}, std::vector<Tensor>{*seed});
      }
      return context.profile().seconds().at(name);
    };
  }
  void add_piece(const std::string& phase, const std::string& direction, const Work& work, const Run& run) {
    pieces_.push_back({phase + " " + direction, work.flops, work.bytes,
                       [=](const CacheFiller& cache) { return run(phase + "." + direction, cache); }});
  }

  Context& context_;
  DType dtype_;
  std::shared_ptr<std::deque<Leaf>> leaves_ = std::make_shared<std::deque<Leaf>>();
  std::vector<BenchPiece> pieces_;
};

struct Sizes {
  std::int64_t batch, seq, n, d, heads, kv, head_dim, w;
  explicit Sizes(const RunConfig& c)
      : batch(c.train.micro_batch_size),
        seq(c.data.seq_len),
        n(batch * seq),
        d(c.model.hidden_size),
        heads(c.model.num_attention_heads),
        kv(c.model.kv_heads()),
        head_dim(c.model.head_dim()),
        w((heads + 2 * kv) * head_dim) {}
};

double product(std::int64_t a, std::int64_t b = 1, std::int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

void add_dense(OperatorBench& bench, Context& context, const RunConfig& c, double element) {
  const Sizes s(c);
  const Param norm = bench.parameter({s.d}), wide = bench.parameter({s.w, s.d});
  const RopeTable table(context, wide_of(c.train.dtype), s.head_dim, c.model.rope_theta, c.model.positions());
  const Tensor positions = bench.ids(s.n, s.seq);
  const Tensor x = bench.random({s.n, s.d}), other = bench.random({s.n, s.d}), qkv = bench.random({s.n, s.w});
  const auto wide_element = static_cast<double>(size_of(wide_of(c.train.dtype)));
  const double row = element * product(s.n, s.d), turned = product(s.n, s.heads + s.kv, s.head_dim);
  bench.add("rms_norm", {product(s.n, s.d, 4), 2.0 * row}, {product(s.n, s.d, 8), 3.0 * row}, x,
            [=](const Var& v) { return rms_norm(v, norm, 1e-6); });
  bench.add("add", {product(s.n, s.d), 3.0 * row}, x, [=](const Var& v) { return add(v, Var{other}); });
  // Gradients of weights are wide, and added to those that are there.
  const double w_elements = product(s.d, s.w);
  bench.add("linear", {2.0 * product(s.n, s.d, s.w), element * (product(s.n, s.d + s.w) + w_elements)},
            {4.0 * product(s.n, s.d, s.w),
             element * (product(s.n, 2 * s.d + s.w) + w_elements) + 2.0 * wide_element * w_elements},
            x, [=](const Var& v) { return linear(v, wide); });
  // Between two other operators it turns in place, as in a model.
  const Param narrow = bench.parameter({s.d, s.w});
  const Work turn{3.0 * turned, 2.0 * element * turned};
  bench.add("rope", turn, turn, x, [=](const Var& v) {
    const Var rotated = rope(linear(v, wide), table, positions, s.heads + s.kv);
    return linear(rotated, narrow);
  });
  const Attention op{s.batch, s.seq, s.heads, s.kv, s.head_dim, s.head_dim};
  const Work attended{2.0 * product(s.n * s.heads, s.head_dim, s.seq), element * product(s.n, s.w + s.d)};
  bench.add("attention", attended, {2.0 * attended.flops, 2.0 * attended.bytes}, qkv,
            [=](const Var& v) { return attention(v, op); });
  const Param head = bench.parameter({c.model.vocab_size, s.d});
  const Tensor targets = bench.ids(s.n, c.model.vocab_size);
  // Forward has already done the products of backward, which scales two wide gradients.
  const double head_elements = product(s.d, c.model.vocab_size);
  bench.add("linear_cross_entropy",
            {6.0 * product(s.n, s.d, c.model.vocab_size), row + element * head_elements},
            {0.0, row + wide_element * (product(s.n, s.d) + 3.0 * head_elements)}, x,
            [=](const Var& v) { return linear_cross_entropy(v, head, targets); });
}

/// That of a dense layer, or of the shared experts if there is none.
void add_ffn(OperatorBench& bench, const RunConfig& c, double element) {
  const bool dense = c.moe.count_moe_layers(c.model.num_hidden_layers) < c.model.num_hidden_layers;
  const std::int64_t width =
      dense ? c.model.intermediate_size : c.moe.n_shared_experts * c.moe.moe_intermediate_size;
  if (width == 0) return;
  const double values = product(Sizes(c).n, width);
  const Tensor gate_up = bench.random({Sizes(c).n, 2 * width});
  bench.add("swiglu", {10.0 * values, 3.0 * element * values}, {20.0 * values, 5.0 * element * values},
            gate_up, [](const Var& v) { return swiglu(v); });
}

void add_mixture(OperatorBench& bench, const RunConfig& c, double element) {
  const Sizes s(c);
  const std::int64_t e = c.moe.n_routed_experts, k = c.moe.num_experts_per_tok,
                     f = c.moe.moe_intermediate_size, rows = s.n * k;
  const Tensor logits = bench.random_wide({s.n, e}), x = bench.random({s.n, s.d}),
               sent = bench.random({rows, s.d});
  const Tensor ids = select_experts(logits, {}, selection_rule(c.moe)), counts = count_choices(ids, e, 1);
  const RowOrder order = sort_by_expert(ids, e, Sent::all);
  const auto offset = order.offset_E1.get();
  const std::vector<std::int64_t> offsets(offset.begin(), offset.end());
  const Param w13 = bench.parameter({e, 2 * f, s.d}), w2 = bench.parameter({e, s.d, f});
  const Tensor weights = bench.random_wide({s.n, k});
  const auto wide = static_cast<double>(size_of(wide_of(c.train.dtype)));
  const double scores = wide * product(s.n, e), x_bytes = element * product(s.n, s.d),
               sent_bytes = element * product(rows, s.d);
  bench.add("softmax", {5.0 * product(s.n, e), 2.0 * scores}, {4.0 * product(s.n, e), 3.0 * scores}, logits,
            [](const Var& v) { return softmax(v); });
  bench.add("gate_weights", {product(rows), wide * product(s.n, 2 * k)},
            {4.0 * product(rows), wide * product(s.n, e + 2 * k)}, logits,
            [=](const Var& v) { return gate_weights(v, ids, {.normalise = true}); });
  bench.add("balance_loss", {2.0 * product(s.n, e), scores}, {product(s.n, e), scores}, logits,
            [=](const Var& v) { return balance_loss(v, counts, {}, {.choices = k}); });
  bench.add("dispatch", {0.0, x_bytes + sent_bytes}, {product(rows, s.d), x_bytes + sent_bytes}, x,
            [=](const Var& v) { return dispatch(v, order); });
  const double weights_of_all = 3.0 * product(e, s.d, f), h_bytes = 2.0 * element * product(rows, f);
  bench.add(
      "expert_ffn", {6.0 * product(rows, s.d, f), 2.0 * sent_bytes + h_bytes + element * weights_of_all},
      {12.0 * product(rows, s.d, f), 3.0 * sent_bytes + h_bytes + (element + 2.0 * wide) * weights_of_all},
      sent, [=](const Var& v) { return expert_ffn(v, w13, w2, offsets); });
  bench.add("combine", {2.0 * product(rows, s.d), x_bytes + sent_bytes},
            {4.0 * product(rows, s.d), x_bytes + 2.0 * sent_bytes}, sent,
            [=](const Var& v) { return combine(v, Var{weights}, order); });
}

}  // namespace

std::vector<BenchPiece> operator_pieces(Context& context, const RunConfig& config) {
  OperatorBench bench(context, config.train.dtype);
  const auto element = static_cast<double>(size_of(config.train.dtype));
  add_dense(bench, context, config, element);
  add_ffn(bench, config, element);
  if (config.moe.n_routed_experts > 0) add_mixture(bench, config, element);
  return bench.take();
}

}  // namespace granule
