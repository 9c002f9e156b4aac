#include "moe/sketch/ops.hpp"

#include <algorithm>

namespace granule::sketch {
namespace {

using Takes = Sketch::Takes;

constexpr std::int64_t kNormRows = 64;     // rows of a partial sum of a weight gradient: RmsNorm, BiasAdd
constexpr std::int64_t kQueries = 64;      // rows of scores that attention holds at once
constexpr std::int64_t kEntropyRows = 64;  // rows of a partial sum of score_entropy
constexpr std::int64_t kExpertRows = 256;  // rows of an expert that are computed in one piece

/// Bytes of the partial sums of a gradient over rows.
std::int64_t partial_sums(const Sketch& sketch, std::int64_t N, std::int64_t columns) {
  return sketch.part((N + kNormRows - 1) / kNormRows * columns);
}

/// Rows of logits that the head holds at once.
std::int64_t logit_rows(std::int64_t N, std::int64_t V) {
  constexpr std::int64_t kElements = std::int64_t{1} << 22;
  return std::min(N, std::clamp<std::int64_t>(kElements / V, 16, 1024));
}

}  // namespace

Var embedding(Sketch& sketch, std::int64_t N, std::int64_t D) {
  return sketch.record(Takes::parameter, {}, sketch.reals(N * D));
}

Var rms_norm(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t D) {
  const Tensor y = sketch.reals(N * D), r = sketch.reals(N);
  return sketch.record(Takes::parameter, {x}, y,
                       {.saved = {x.value, r}, .backward_scratch = partial_sums(sketch, N, D)});
}

Var linear(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t O) {
  return sketch.record(Takes::parameter, {x}, sketch.reals(N * O), {.saved = {x.value}});
}

Var bias_add(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t O) {
  return sketch.record(Takes::parameter, {x}, sketch.reals(N * O),
                       {.backward_scratch = partial_sums(sketch, N, O)});
}

Var rope(Sketch& sketch, const Var& x, const Tensor& position) {
  return sketch.record(Takes::inputs, {x}, sketch.bytes(x.value->bytes()), {.saved = {position}});
}

Var add(Sketch& sketch, const Var& a, const Var& b) {
  return sketch.record(Takes::inputs, {a, b}, sketch.bytes(a.value->bytes()));
}

Var swiglu(Sketch& sketch, const Var& x) {
  return sketch.record(Takes::inputs, {x}, sketch.bytes(x.value->bytes() / 2), {.saved = {x.value}});
}

Var attention(Sketch& sketch, const Var& qkv, const Tensor& first_key, const AttentionSize& size) {
  const Tensor y = sketch.reals(size.N * size.heads * size.head_dim);
  const Tensor log_sum = sketch.recording() ? sketch.reals(size.N * size.heads) : nullptr;
  const std::int64_t plane = sketch.threads() * kQueries * size.seq;
  sketch.use_workspace(sketch.part(plane));
  return sketch.record(
      Takes::inputs, {qkv}, y,
      {.saved = {qkv.value, y, log_sum, first_key}, .backward_scratch = sketch.part(2 * plane)});
}

Var linear_cross_entropy(Sketch& sketch, const Var& x, std::int64_t N, std::int64_t V) {
  const std::int64_t D = x.value->bytes() / sketch.element_bytes() / N;
  std::vector<Tensor> gradients;
  if (sketch.recording()) gradients = {sketch.reals(N * D), sketch.reals(V * D)};
  const Tensor loss = sketch.longs(1);
  const std::int64_t row_losses = align_up(N * size_of(DType::f64));
  sketch.use_workspace(sketch.part(logit_rows(N, V) * V) + row_losses);
  return sketch.record(Takes::parameter, {x}, loss, {.saved = gradients});
}

Var scores(Sketch& sketch, const Var& logits) {
  const Tensor y = sketch.bytes(logits.value->bytes());
  return sketch.record(Takes::inputs, {logits}, y, {.saved = {y}});
}

Var normalise_rows(Sketch& sketch, const Var& scores, std::int64_t N) {
  const Tensor p = sketch.bytes(scores.value->bytes()), sums = sketch.reals(N);
  return sketch.record(Takes::inputs, {scores}, p, {.saved = {p, sums}});
}

Var gate_weights(Sketch& sketch, const Var& scores, const Tensor& ids, std::int64_t N, std::int64_t K,
                 Sums sums) {
  const Tensor w = sketch.reals(N * K);
  const Tensor sum = sums == Sums::yes && K > 1 ? sketch.reals(N) : nullptr;
  return sketch.record(Takes::inputs, {scores}, w, {.saved = {ids, w, sum}});
}

Var balance_branch(Sketch& sketch, const Var& logits, const Var& x) {
  return sketch.record(Takes::inputs, {logits}, logits.value, {.saved = {x.value}});
}

Var balance_loss(Sketch& sketch, const Var& scores, std::int64_t U, std::int64_t E) {
  const Tensor weight = sketch.longs(U * E), loss = sketch.longs(1);
  sketch.use_workspace(align_up(U * 8));  // a sum of each unit
  return sketch.record(Takes::inputs, {scores}, loss, {.saved = {weight}});
}

void select_experts(Sketch& sketch, std::int64_t E, std::int64_t groups) {
  const std::int64_t experts = sketch.threads() * E, all_groups = sketch.threads() * groups;
  sketch.use_workspace(sketch.part(experts) + sketch.part(all_groups) + align_up(experts * 4) +
                       align_up(all_groups * 4));
}

void limit_capacity(Sketch& sketch, std::int64_t copies, std::int64_t E) {
  sketch.use_workspace(align_up((E + 1) * 8) + align_up(copies * 8));
}

void score_entropy(Sketch& sketch, std::int64_t N) {
  sketch.use_workspace(align_up((N + kEntropyRows - 1) / kEntropyRows * 8));
}

Var router_z(Sketch& sketch, const Var& logits, std::int64_t N, std::int64_t E) {
  const Tensor z = sketch.longs(N), loss = sketch.longs(1);
  const std::int64_t rows = sketch.part(sketch.threads() * E);
  sketch.use_workspace(rows);
  return sketch.record(Takes::inputs, {logits}, loss, {.saved = {logits.value, z}, .backward_scratch = rows});
}

Routing sort_by_expert(Sketch& sketch, std::int64_t N, std::int64_t K, std::int64_t R, std::int64_t E) {
  Routing routing{N, K, R, {sketch.longs(E + 1), sketch.words(R), sketch.words(N * K)}};
  sketch.use_workspace(align_up(E * 8));  // the next row of each expert
  return routing;
}

Var dispatch(Sketch& sketch, const Var& x, const Routing& routing, std::int64_t D) {
  return sketch.record(Takes::inputs, {x}, sketch.reals(routing.R * D), {.saved = routing.tables});
}

Var expert_ffn(Sketch& sketch, const Var& x, const Routing& routing, const ExpertSize& size) {
  const std::int64_t R = routing.R, piece = sketch.part(sketch.threads() * kExpertRows * size.F);
  const Tensor y = sketch.reals(R * size.D), h = sketch.reals(R * 2 * size.F);
  sketch.use_workspace(piece);
  const std::int64_t rows = sketch.part(R * size.F) + sketch.part(R * 2 * size.F);
  return sketch.record(Takes::parameter, {x}, y, {.saved = {x.value, h}, .backward_scratch = piece + rows});
}

Var combine(Sketch& sketch, const Var& x, const Var& weights, const Routing& routing, std::int64_t D) {
  std::vector<Tensor> saved = routing.tables;
  saved.push_back(x.value);
  saved.push_back(weights.value);
  return sketch.record(Takes::inputs, {x, weights}, sketch.reals(routing.N * D), {.saved = saved});
}

}  // namespace granule::sketch
