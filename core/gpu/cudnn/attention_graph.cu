#include "core/gpu/cudnn/attention_graph.cuh"

namespace granule::gpu::dnn {
namespace {

constexpr cudnnDataType_t kBf16 = CUDNN_DATA_BFLOAT16, kF32 = CUDNN_DATA_FLOAT;

/// The tensors of a shape. Each method adds one to the graph.
struct Tensors {
  Graph& graph;
  const AttentionShape& s;

  /// Heads that are columns of a matrix with `width` columns, a row for each token.
  [[nodiscard]] GraphTensor columns(std::int64_t id, std::int64_t heads, std::int64_t dim,
                                    std::int64_t width) const {
    return graph.tensor(id, {s.batch, heads, s.seq, dim}, {s.seq * width, dim, width, 1}, kBf16);
  }
  /// The same, with a column for each token.
  [[nodiscard]] GraphTensor transposed(std::int64_t id, std::int64_t heads, std::int64_t dim,
                                       std::int64_t width) const {
    return graph.tensor(id, {s.batch, heads, dim, s.seq}, {s.seq * width, dim, 1, width}, kBf16);
  }
  [[nodiscard]] GraphTensor queries(std::int64_t id) const {
    return columns(id, s.heads, s.qk_dim, s.width());
  }
  [[nodiscard]] GraphTensor keys(std::int64_t id) const {
    return columns(id, s.kv_heads, s.qk_dim, s.width());
  }
  [[nodiscard]] GraphTensor values(std::int64_t id) const {
    return columns(id, s.kv_heads, s.v_dim, s.width());
  }
  [[nodiscard]] GraphTensor outputs(std::int64_t id) const {
    return columns(id, s.heads, s.v_dim, s.heads * s.v_dim);
  }
  [[nodiscard]] GraphTensor log_sum() const {
    return graph.tensor(kLogSum, rows(), {s.seq * s.heads, 1, s.heads, 1}, kF32);
  }
  /// A number for each query of each head.
  [[nodiscard]] Dims rows() const { return {s.batch, s.heads, s.seq, 1}; }

  /// The scaled scores with the mask, and without the keys after each query. cuDNN has engines for a mask
  /// that is added, on every architecture. For a comparison with first keys, backward has one on sm_90 only.
  [[nodiscard]] GraphTensor visible(const GraphTensor& scaled, const GraphTensor& hidden) const {
    GraphTensor scores = scaled;
    if (s.masked) {
      const std::int64_t pitch = s.mask_pitch(), plane = s.seq * pitch;
      scores =
          graph.pointwise(CUDNN_POINTWISE_ADD, scores,
                          graph.tensor(kMask, {s.batch, 1, s.seq, s.seq}, {plane, plane, pitch, 1}, kBf16));
    }
    const GraphTensor query = graph.index(scores, 2), key = graph.index(scores, 3);
    return graph.select(scores, hidden, graph.at_least(query, key));
  }
};

}  // namespace

void add_forward(Graph& graph, const AttentionShape& shape) {
  const Tensors t{graph, shape};
  const GraphTensor products =
      graph.matmul(t.queries(kQ), t.transposed(kK, shape.kv_heads, shape.qk_dim, shape.width()));
  const GraphTensor scaled = graph.pointwise(CUDNN_POINTWISE_MUL, products, graph.scalar(kScale));
  const GraphTensor scores = t.visible(scaled, graph.scalar(kHidden));
  const GraphTensor most = graph.reduce(CUDNN_REDUCE_TENSOR_MAX, scores, t.rows());
  const GraphTensor exponentials =
      graph.pointwise(CUDNN_POINTWISE_EXP, graph.pointwise(CUDNN_POINTWISE_SUB, scores, most));
  const GraphTensor sum = graph.reduce(CUDNN_REDUCE_TENSOR_ADD, exponentials, t.rows());
  graph.pointwise_into(t.log_sum(), CUDNN_POINTWISE_ADD, most, graph.pointwise(CUDNN_POINTWISE_LOG, sum));
  const GraphTensor weights = graph.pointwise(CUDNN_POINTWISE_DIV, exponentials, sum, kBf16);
  graph.matmul_into(t.outputs(kY), weights, t.values(kV));
}

namespace {

/// dK or dV: the product of the transposed scores with a matrix of each query head, summed over the heads of
/// a group.
void add_key_gradient(Graph& graph, const AttentionShape& shape, const GraphTensor& to,
                      const GraphTensor& scores, const GraphTensor& by_query) {
  const GraphTensor transposed = graph.transpose(scores, kBf16);
  if (shape.heads == shape.kv_heads) {
    graph.matmul_into(to, transposed, by_query);
  } else {
    graph.reduce_into(to, CUDNN_REDUCE_TENSOR_ADD, graph.matmul(transposed, by_query, kBf16));
  }
}

}  // namespace

void add_backward(Graph& graph, const AttentionShape& shape) {
  const Tensors t{graph, shape};
  const GraphTensor scale = graph.scalar(kScale), hidden = graph.scalar(kHidden);
  const GraphTensor q = t.queries(kQ), dy = t.outputs(kDy);
  const GraphTensor k_transposed = t.transposed(kK, shape.kv_heads, shape.qk_dim, shape.width());
  const GraphTensor v_transposed = t.transposed(kV, shape.kv_heads, shape.v_dim, shape.width());

  const GraphTensor products = graph.pointwise(CUDNN_POINTWISE_MUL, dy, t.outputs(kY));
  const GraphTensor sums = graph.reduce(CUDNN_REDUCE_TENSOR_ADD, products, t.rows());
  const GraphTensor dot = graph.tensor(kDot, t.rows(), packed(t.rows()), kF32);
  graph.pointwise_into(dot, CUDNN_POINTWISE_MUL, sums, graph.scalar(kOne));

  const GraphTensor scaled = graph.pointwise(CUDNN_POINTWISE_MUL, graph.matmul(q, k_transposed), scale);
  const GraphTensor scores = t.visible(scaled, hidden);
  const GraphTensor weights =
      graph.pointwise(CUDNN_POINTWISE_EXP, graph.pointwise(CUDNN_POINTWISE_SUB, scores, t.log_sum()));
  add_key_gradient(graph, shape, t.values(kDv), weights, dy);

  const GraphTensor shifted = graph.pointwise(CUDNN_POINTWISE_SUB, graph.matmul(dy, v_transposed), dot);
  const GraphTensor by_weight = graph.pointwise(CUDNN_POINTWISE_MUL, shifted, weights);
  const GraphTensor d_scores = graph.pointwise(CUDNN_POINTWISE_MUL, by_weight, scale);
  add_key_gradient(graph, shape, t.keys(kDk), d_scores, q);
  graph.matmul_into(t.queries(kDq), d_scores, graph.transpose(k_transposed, kBf16));
}

}  // namespace granule::gpu::dnn
