#include <algorithm>
#include <chrono>
#include <memory>

#include "apps/commands/bench/bench_rates.hpp"
#include "core/kernels/gemm.hpp"
#include "core/tensor.hpp"

namespace granule {
namespace {

/// A matrix y[rows, out] = x[rows, in] wᵀ of the model.
struct Product {
  std::string name;
  std::int64_t rows, out, in;
};

std::vector<Product> products_of(const RunConfig& config) {
  const ModelConfig& m = config.model;
  const MoeConfig& e = config.moe;
  const std::int64_t tokens = config.train.micro_batch_size * config.data.seq_len, h = m.hidden_size;
  const std::int64_t kv = m.kv_width();
  std::vector<Product> products{{"qkv", tokens, h + 2 * kv, h},
                                {"attention output", tokens, h, h},
                                {"dense gate and up", tokens, 2 * m.intermediate_size, h},
                                {"dense down", tokens, h, m.intermediate_size},
                                {"head", tokens, m.vocab_size, h}};
  if (e.n_routed_experts > 0) {
    const std::int64_t rows = std::max<std::int64_t>(1, tokens * e.num_experts_per_tok / e.n_routed_experts);
    products.push_back({"router", tokens, e.n_routed_experts, h});
    products.push_back({"one expert, gate and up", rows, 2 * e.moe_intermediate_size, h});
    products.push_back({"one expert, down", rows, h, e.moe_intermediate_size});
  }
  return products;
}

/// The operands of a product. The pieces that use them keep them alive.
struct Operands {
  Tensor x, w, y;
  Operands(Context& context, const Product& p, DType dtype)
      : x(Tensor::zeros(context, {p.rows, p.in}, dtype)),
        w(Tensor::zeros(context, {p.out, p.in}, dtype)),
        y(Tensor::zeros(context, {p.rows, p.out}, dtype)) {}
};

template <class T>
double timed(ThreadPool& pool, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
             MatrixOut<T> c) {
  const auto start = std::chrono::steady_clock::now();
  gemm<T>(pool, m, n, k, a, b, c);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class T>
void add_product(std::vector<BenchPiece>& pieces, Context& context, const Product& p) {
  const auto o = std::make_shared<Operands>(context, p, dtype_of<T>);
  T *const x = o->x.template data<T>(), *const w = o->w.template data<T>(),
           *const y = o->y.template data<T>();
  const double flops = 2.0 * static_cast<double>(p.rows * p.out * p.in);
  const double bytes = static_cast<double>(o->x.bytes() + o->w.bytes() + o->y.bytes());
  ThreadPool& pool = context.pool();
  // The capture includes `o`, which keeps the operands alive.
  pieces.push_back(
      {p.name + ": y = x wT", flops, bytes, [=, &pool] {
         static_cast<void>(o);
         return timed<T>(pool, p.rows, p.out, p.in, {x, p.in}, {w, p.in, Transpose::yes}, {y, p.out});
       }});
  pieces.push_back({p.name + ": dx = dy w", flops, bytes, [=, &pool] {
                      static_cast<void>(o);
                      return timed<T>(pool, p.rows, p.in, p.out, {y, p.out}, {w, p.in}, {x, p.in});
                    }});
  pieces.push_back(
      {p.name + ": dw = dyT x", flops, bytes, [=, &pool] {
         static_cast<void>(o);
         return timed<T>(pool, p.out, p.in, p.rows, {y, p.out, Transpose::yes}, {x, p.in}, {w, p.in});
       }});
}

}  // namespace

std::vector<BenchPiece> gemm_pieces(Context& context, const RunConfig& config) {
  std::vector<BenchPiece> pieces;
  dispatch_float(config.train.dtype, [&]<class T>() {
    for (const Product& product : products_of(config)) add_product<T>(pieces, context, product);
  });
  return pieces;
}

}  // namespace granule
