#include <deque>
#include <memory>

#include "apps/commands/bench/bench_rates.hpp"
#include "autograd/functions.hpp"
#include "core/random.hpp"
#include "core/transfer_pieces.hpp"
#include "moe/functions.hpp"
#include "moe/ops/count_choices.hpp"
#include "moe/routing/selection.hpp"

namespace granule {
namespace {

enum class Fused : bool { no, yes };

/// Makes the inputs of operators and turns a recorded use of one into two pieces of work.
class OperatorBench {
 public:
  OperatorBench(Context& context, DType dtype) : context_(context), dtype_(dtype) {}

  [[nodiscard]] Tensor random(const Shape& shape) { return random(shape, dtype_); }
  /// For scores, weights of copies and gradients of parameters.
  [[nodiscard]] Tensor random_wide(const Shape& shape) { return random(shape, wide_of(dtype_)); }
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

  /// Adds forward and backward of `use`, which applies one operator called `phase`. Backward does twice the
  /// operations of forward and moves twice its bytes. With Fused::yes, forward has already done the products
  /// of backward.
  void add(const std::string& phase, double flops, double bytes, const Tensor& x,
           std::function<Var(const Var&)> use, Fused fused = Fused::no) {
    const auto run = [this_context = &context_, leaves = leaves_, x,
                      use = std::move(use)](const std::string& name) {
      Context& context = *this_context;
      context.profile().start();
      Tape tape;
      const Var input = tape.input(x);
      {
        const Recording on(&tape);
        const Var y = use(input);
        const Tensor seed = Tensor::zeros(context, y.value.shape(), y.value.dtype());
        tape.backward(std::vector<Var>{y}, std::vector<Tensor>{seed});
      }
      return context.profile().seconds().at(name);
    };
    pieces_.push_back({phase + " forward", flops, bytes, [=] { return run(phase + ".forward"); }});
    pieces_.push_back({phase + " backward", fused == Fused::yes ? 0.0 : 2.0 * flops, 2.0 * bytes,
                       [=] { return run(phase + ".backward"); }});
  }
  [[nodiscard]] std::vector<BenchPiece> take() { return std::move(pieces_); }

 private:
  [[nodiscard]] Tensor random(const Shape& shape, DType dtype) {
    Tensor tensor = Tensor::empty(context_, shape, dtype);
    const RandomStream stream(1, seed_++);
    dispatch_storage(dtype, [&]<class T>() {
      write_in_pieces<T>(tensor, [&](std::int64_t begin, std::span<T> piece) {
        for (T& value : piece)
          value = static_cast<T>(static_cast<Wide<T>>(stream.normal(static_cast<std::uint64_t>(begin++))));
      });
    });
    return tensor;
  }

  Context& context_;
  DType dtype_;
  std::uint64_t seed_ = 0;
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
  const Tensor x = bench.random({s.n, s.d}), qkv = bench.random({s.n, s.w});
  bench.add("rms_norm", product(s.n, s.d, 4), 2.0 * element * product(s.n, s.d), x,
            [=](const Var& v) { return rms_norm(v, norm, 1e-6); });
  bench.add("add", product(s.n, s.d), 3.0 * element * product(s.n, s.d), x,
            [=](const Var& v) { return add(v, Var{x}); });
  bench.add("linear", 2.0 * product(s.n, s.d, s.w), element * (product(s.n, s.d + s.w) + product(s.d, s.w)),
            x, [=](const Var& v) { return linear(v, wide); });
  bench.add("rope", 3.0 * product(s.n, s.w), 2.0 * element * product(s.n, s.w), qkv,
            [=](const Var& v) { return rope(v, table, positions, s.heads + s.kv); });
  const Attention op{s.batch, s.seq, s.heads, s.kv, s.head_dim, s.head_dim};
  bench.add("attention", 2.0 * product(s.n * s.heads, s.head_dim, s.seq), element * product(s.n, s.w + s.d),
            qkv, [=](const Var& v) { return attention(v, op); });
  const Tensor gate_up = bench.random({s.n, 2 * c.model.intermediate_size});
  bench.add("swiglu", 10.0 * product(s.n, c.model.intermediate_size),
            3.0 * element * product(s.n, c.model.intermediate_size), gate_up,
            [](const Var& v) { return swiglu(v); });
  const Param head = bench.parameter({c.model.vocab_size, s.d});
  const Tensor targets = bench.ids(s.n, c.model.vocab_size);
  bench.add(
      "linear_cross_entropy", 6.0 * product(s.n, s.d, c.model.vocab_size),
      element * product(s.d, s.n + c.model.vocab_size), x,
      [=](const Var& v) { return linear_cross_entropy(v, head, targets); }, Fused::yes);
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
  bench.add("softmax", 5.0 * product(s.n, e), 2.0 * wide * product(s.n, e), logits,
            [](const Var& v) { return softmax(v); });
  bench.add("gate_weights", product(rows), wide * product(s.n, e + k), logits,
            [=](const Var& v) { return gate_weights(v, ids, {.normalise = true}); });
  bench.add("balance_loss", 2.0 * product(s.n, e), wide * product(s.n, e), logits,
            [=](const Var& v) { return balance_loss(v, counts, {}, {.choices = k}); });
  bench.add("dispatch", 0.0, element * product(s.n + rows, s.d), x,
            [=](const Var& v) { return dispatch(v, order); });
  bench.add("expert_ffn", 6.0 * product(rows, s.d, f),
            element * (2.0 * product(rows, s.d) + 3.0 * product(e, s.d, f)), sent,
            [=](const Var& v) { return expert_ffn(v, w13, w2, offsets); });
  bench.add("combine", 2.0 * product(rows, s.d), element * product(s.n + rows, s.d), sent,
            [=](const Var& v) { return combine(v, Var{weights}, order); });
}

}  // namespace

std::vector<BenchPiece> operator_pieces(Context& context, const RunConfig& config) {
  OperatorBench bench(context, config.train.dtype);
  const auto element = static_cast<double>(size_of(config.train.dtype));
  add_dense(bench, context, config, element);
  if (config.moe.n_routed_experts > 0) add_mixture(bench, config, element);
  return bench.take();
}

}  // namespace granule
