// The operators of a model as a sketch sees them. Each function makes, saves and needs what the operator of
// the same name (core/ops, moe/ops) does, in the same order. N rows, D columns in, O out.
#pragma once
#include "moe/experts/exchange_plan.hpp"
#include "moe/sketch/tape.hpp"

namespace granule::sketch {

[[nodiscard]] Var embedding(Sketch& sketch, std::int64_t N, std::int64_t D);
[[nodiscard]] Var rms_norm(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t D);
[[nodiscard]] Var linear(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t O);
[[nodiscard]] Var bias_add(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t O);
[[nodiscard]] Var rope(Sketch& sketch, const Var& x, const Tensor& position);
[[nodiscard]] Var add(Sketch& sketch, const Var& a, const Var& b);
[[nodiscard]] Var swiglu(Sketch& sketch, const Var& x);

struct AttentionSize {
  std::int64_t N, seq, heads, head_dim;
};
[[nodiscard]] Var attention(Sketch& sketch, const Var& qkv, const Tensor& first_key,
                            const AttentionSize& size);
/// V is the vocabulary. It saves none of its inputs, because forward already computes their gradients.
[[nodiscard]] Var linear_cross_entropy(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t V);

/// Softmax and Sigmoid: the output has the size of the input and is saved for backward.
[[nodiscard]] Var scores(Sketch& sketch, const Var& logits);
[[nodiscard]] Var normalise_rows(Sketch& sketch, const Var& scores, std::int64_t N);

enum class Sums : bool { no, yes };
/// K is the choices of a token. Sums::yes means that the weights are normalised.
[[nodiscard]] Var gate_weights(Sketch& sketch, const Var& scores, const Tensor& ids, std::int64_t N,
                               std::int64_t K, Sums sums);
[[nodiscard]] Var balance_branch(Sketch& sketch, const Var& logits, const Var& x);
/// For U units of E experts.
[[nodiscard]] Var balance_loss(Sketch& sketch, const Var& scores, std::int64_t U, std::int64_t E);
[[nodiscard]] Var router_z(Sketch& sketch, const Var& logits, std::int64_t N, std::int64_t E);
/// What the choice of a micro-batch's experts needs besides its result.
void select_experts(Sketch& sketch, std::int64_t E, std::int64_t groups);
void limit_capacity(Sketch& sketch, std::int64_t copies, std::int64_t E);
void score_entropy(Sketch& sketch, std::int64_t N);

/// Where the copies of tokens are: granule::Routing. There are R rows.
struct Routing {
  std::int64_t N, K, R;
  std::vector<Tensor> tables;
};
[[nodiscard]] Routing sort_by_expert(Sketch& sketch, std::int64_t N, std::int64_t K, std::int64_t R,
                                     std::int64_t E);
[[nodiscard]] Var dispatch(Sketch& sketch, const Var& x, const Routing& routing, std::int64_t D);
/// A layer's experts on a rank: L of them, of width F.
struct ExpertSize {
  std::int64_t L, D, F;
};
[[nodiscard]] Var expert_ffn(Sketch& sketch, const Var& x, const Routing& routing, const ExpertSize& size);
[[nodiscard]] Var remote_experts(Sketch& sketch, const Var& x, const ExchangePlan& plan,
                                 const ExpertSize& size);
[[nodiscard]] Var combine(Sketch& sketch, const Var& x, const Var& weights, const Routing& routing,
                          std::int64_t D);

}  // namespace granule::sketch
