#include <algorithm>

#include "apps/commands/bench/bench_rates.hpp"
#include "core/kernels/matmul.hpp"

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
  std::vector<Product> products{
      {"qkv", tokens, h + 2 * kv, h}, {"attention output", tokens, h, h}, {"head", tokens, m.vocab_size, h}};
  const auto add_ffn = [&](const std::string& name, std::int64_t rows, std::int64_t width) {
    products.push_back({name + ", gate and up", rows, 2 * width, h});
    products.push_back({name + ", down", rows, h, width});
  };
  if (e.count_moe_layers(m.num_hidden_layers) < m.num_hidden_layers)
    add_ffn("dense", tokens, m.intermediate_size);
  if (e.n_routed_experts > 0) {
    const std::int64_t rows = std::max<std::int64_t>(1, tokens * e.num_experts_per_tok / e.n_routed_experts);
    products.push_back({"router", tokens, e.n_routed_experts, h});
    add_ffn("one expert", rows, e.moe_intermediate_size);
    if (e.n_shared_experts > 0)
      add_ffn("shared experts", tokens, e.n_shared_experts * e.moe_intermediate_size);
  }
  return products;
}

void add_product(std::vector<BenchPiece>& pieces, Context& context, const Product& p, DType dtype) {
  const Tensor x = random_tensor(context, {p.rows, p.in}, dtype),
               w = random_tensor(context, {p.out, p.in}, dtype),
               y = random_tensor(context, {p.rows, p.out}, dtype),
               dw = Tensor::zeros(context, {p.out, p.in}, Precision(dtype).gradients);
  const double flops = 2.0 * static_cast<double>(p.rows * p.out * p.in);
  const auto add = [&](std::string_view form, const Tensor& a, Transpose transpose_a, const Tensor& b,
                       Transpose transpose_b, const Tensor& c) {
    const auto bytes = static_cast<double>(a.bytes() + b.bytes() + c.bytes());
    pieces.push_back(
        {fmt::format("{}: {}", p.name, form), flops, bytes, [=](const CacheFiller& cache) {
           cache.fill();
           return seconds_of(a.context(), [&] { matmul("bench", a, transpose_a, b, transpose_b, {c, 0.0}); });
         }});
  };
  add("y = x wT", x, Transpose::no, w, Transpose::yes, y);
  add("dx = dy w", y, Transpose::no, w, Transpose::no, x);
  add("dw = dyT x", y, Transpose::yes, x, Transpose::no, dw);
}

}  // namespace

std::vector<BenchPiece> gemm_pieces(Context& context, const RunConfig& config) {
  std::vector<BenchPiece> pieces;
  for (const Product& product : products_of(config))
    add_product(pieces, context, product, config.train.dtype);
  return pieces;
}

}  // namespace granule
