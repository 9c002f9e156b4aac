// Attention by batched products and a masked softmax between them, one block of queries at a time. It takes
// every head size and dtype. What cuDNN computes in one kernel goes to fused_attention.cu. In bf16, scores
// and their gradients are float beside the P and dS that products read, and the gradients of keys and values
// are summed in float.
#include <cmath>

#include "core/kernels/gemm.cuh"
#include "core/ops/attention.hpp"
#include "core/ops/attention_rows.cuh"
#include "core/ops/fused_attention.cuh"

namespace granule {

using namespace attention;

namespace {

using ForwardArgs = Attention::ForwardArgs;
using BackwardArgs = Attention::BackwardArgs;

std::int64_t group_of(const Attention& a) {
  return a.heads / a.kv_heads;
}

/// Queries of a block. With more, keys would be multiplied that none of the first queries sees.
std::int64_t block_queries(const Attention& a) {
  constexpr std::int64_t kQueries = 128;
  return std::min(kQueries, a.seq);
}
std::int64_t block_elements(const Attention& a) {
  return a.kv_heads * block_queries(a) * a.seq;
}

/// The parts of the workspace that Scores need.
WorkspacePart wide_part(std::int64_t elements, DType dtype) {
  return {elements, wide_of(dtype)};
}
WorkspacePart rounded_part(std::int64_t elements, DType dtype) {
  return {dtype == DType::bf16 ? elements : 0, dtype};
}

/// Where the gradients of a sequence's keys and values are summed over blocks of queries and query heads: in
/// their own place, or in bf16 beside it. Rows have the keys of all heads, and then the values.
template <class T>
struct KeySums {
  Wide<T>* data;
  std::int64_t pitch;
  double beta;  // of the first sum
};

/// The products of one block of queries, for the key-value heads of one sequence and one query head of each
/// group.
template <class T>
struct Products {
  gpu::Runtime& runtime;
  const Attention& a;
  Rows b;
  std::int64_t start;  // the row of the sequence's first token

  [[nodiscard]] std::int64_t query_column() const { return b.head * a.qk_dim; }
  [[nodiscard]] std::int64_t key_column() const { return a.heads * a.qk_dim; }
  [[nodiscard]] std::int64_t value_column() const { return (a.heads + a.kv_heads) * a.qk_dim; }
  [[nodiscard]] std::int64_t out() const { return a.heads * a.v_dim; }
  /// Elements between the scores, queries and outputs of one key-value head and those of the next.
  [[nodiscard]] std::int64_t plane() const { return b.queries * b.keys; }
  [[nodiscard]] std::int64_t query_step() const { return b.group * a.qk_dim; }
  [[nodiscard]] std::int64_t output_step() const { return b.group * a.v_dim; }

  [[nodiscard]] const T* queries(const T* qkv) const { return qkv + b.row * a.width() + query_column(); }
  [[nodiscard]] const T* keys(const T* qkv) const { return qkv + start * a.width() + key_column(); }
  [[nodiscard]] const T* values(const T* qkv) const { return qkv + start * a.width() + value_column(); }
  [[nodiscard]] std::int64_t outputs() const { return b.row * out() + b.head * a.v_dim; }

  /// S = Q Kᵀ
  void scores(const T* qkv, Wide<T>* s) const {
    gpu::gemm<T, Wide<T>>(runtime, b.queries, b.keys, a.qk_dim, {queries(qkv), a.width()},
                          {keys(qkv), a.width(), Transpose::yes}, {s, b.keys},
                          {a.kv_heads, query_step(), a.qk_dim, plane()});
  }
  /// Y = P V
  void output(const T* p, const T* qkv, T* y) const {
    gpu::gemm<T>(runtime, b.queries, a.v_dim, b.keys, {p, b.keys}, {values(qkv), a.width()},
                 {y + outputs(), out()}, {a.kv_heads, plane(), a.v_dim, output_step()});
  }
  /// dP = dY Vᵀ
  void weight_gradients(const T* dy, const T* qkv, Wide<T>* dp) const {
    gpu::gemm<T, Wide<T>>(runtime, b.queries, b.keys, a.v_dim, {dy + outputs(), out()},
                          {values(qkv), a.width(), Transpose::yes}, {dp, b.keys},
                          {a.kv_heads, output_step(), a.v_dim, plane()});
  }
  /// dQ = dS K
  void query_gradients(const T* ds, const T* qkv, const Grad& dqkv) const {
    T* const to = dqkv.dst.data<T>() + b.row * a.width() + query_column();
    gpu::gemm<T>(runtime, b.queries, a.qk_dim, b.keys, {ds, b.keys}, {keys(qkv), a.width()},
                 {to, a.width(), dqkv.beta}, {a.kv_heads, plane(), a.qk_dim, query_step()});
  }
  /// dK += dSᵀ Q, dV += Pᵀ dY
  void key_gradients(const T* p, const T* ds, const T* dy, const T* qkv, const KeySums<T>& sums) const {
    const bool writes_first = b.keys == a.seq && b.head == 0;
    const double beta = writes_first ? sums.beta : 1.0;
    Wide<T>* const values = sums.data + value_column() - key_column();
    gpu::gemm<T, Wide<T>>(runtime, b.keys, a.qk_dim, b.queries, {ds, b.keys, Transpose::yes},
                          {queries(qkv), a.width()}, {sums.data, sums.pitch, beta},
                          {a.kv_heads, plane(), query_step(), a.qk_dim});
    gpu::gemm<T, Wide<T>>(runtime, b.keys, a.v_dim, b.queries, {p, b.keys, Transpose::yes},
                          {dy + outputs(), out()}, {values, sums.pitch, beta},
                          {a.kv_heads, plane(), output_step(), a.v_dim});
  }
  /// Whether the gradients of the sequence's keys and values are complete after these products.
  [[nodiscard]] bool are_last() const { return b.first == 0 && b.head + 1 == b.group; }
};

/// Calls body(products) for every sequence, for blocks of queries from the last to the first, and each query
/// head of a group. So the first block of a sequence that is visited sees all of its keys.
template <class T, class Body>
void for_each_block(const Attention& a, const Tensor& qkv, const Tensor& first_key, const Body& body) {
  const std::int64_t size = block_queries(a), blocks = size == 0 ? 0 : gpu::ceil_div(a.seq, size);
  const auto* const first_keys = first_key.defined() ? first_key.data<const std::int32_t>() : nullptr;
  for (std::int64_t sequence = 0; sequence < a.batch; ++sequence) {
    for (std::int64_t block = blocks - 1; block >= 0; --block) {
      const std::int64_t first = block * size, queries = std::min(size, a.seq - first),
                         start = sequence * a.seq;
      for (std::int64_t head = 0; head < group_of(a); ++head) {
        const Rows rows{first,         queries, first + queries,
                        start + first, a.heads, head,
                        group_of(a),   a.v_dim, 1.0 / std::sqrt(static_cast<double>(a.qk_dim)),
                        first_keys};
        body(Products<T>{gpu::runtime_of(qkv), a, rows, start});
      }
    }
  }
}

constexpr std::int64_t kKeysOfThread = 8;  // with fewer, most of the time would go into sums over the block

gpu::LaunchShape shape_of(const Attention& a, const Rows& b) {
  return {b.queries, a.kv_heads, gpu::threads_for_row(gpu::ceil_div(b.keys, kKeysOfThread))};
}

gpu::Fault fault_of(const Tensor& tensor) {
  return GRANULE_FAULT(gpu::runtime_of(tensor), "attention: token {} of a sequence sees from {} on");
}

void forward_cuda(const ForwardArgs& args, Workspace& workspace) {
  if (gpu::run_fused(args, workspace)) return;
  const gpu::Fault fault = fault_of(args.qkv);
  dispatch_storage(args.qkv.dtype(), [&]<class T>() {
    const Scores<T> p(block_elements(args.attention), workspace);
    const T* const qkv = args.qkv.data<const T>();
    Wide<T>* const log_sum = args.log_sum.defined() ? args.log_sum.data<Wide<T>>() : nullptr;
    for_each_block<T>(args.attention, args.qkv, args.first_key, [&](const Products<T>& products) {
      products.scores(qkv, p.sums);
      gpu::launch(products.runtime.stream(), softmax_rows<T>, shape_of(args.attention, products.b),
                  products.b, fault, p, log_sum);
      products.output(p.rounded, qkv, args.y.data<T>());
    });
  });
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  if (const auto fused = gpu::fused_workspace(args)) return *fused;
  const std::int64_t elements = block_elements(args.attention);
  const DType dtype = args.qkv.dtype();
  return workspace_bytes({wide_part(elements, dtype), rounded_part(elements, dtype)});
}

/// Columns of a row of KeySums.
std::int64_t key_columns(const Attention& a) {
  return a.kv_heads * (a.qk_dim + a.v_dim);
}

/// Elements of KeySums that are beside their place.
std::int64_t sums_beside(const BackwardArgs& args) {
  return args.qkv.dtype() == DType::bf16 ? args.attention.seq * key_columns(args.attention) : 0;
}

/// `beside` has sums_beside() elements, which every sequence uses again.
template <class T>
KeySums<T> key_sums(const Products<T>& products, const Grad& dqkv, Wide<T>* beside) {
  if constexpr (std::is_same_v<T, Wide<T>>) {
    const std::int64_t pitch = products.a.width();
    return {dqkv.dst.data<T>() + products.start * pitch + products.key_column(), pitch, dqkv.beta};
  } else {
    return {beside, key_columns(products.a), 0.0};
  }
}

/// Rounds the sums of a sequence into their place, if they are beside it.
template <class T>
void finish(const Products<T>& products, const KeySums<T>& sums, const Grad& dqkv) {
  if constexpr (!std::is_same_v<T, Wide<T>>) {
    const std::int64_t columns = sums.pitch, pitch = products.a.width();
    T* const to = dqkv.dst.data<T>() + products.start * pitch + products.key_column();
    gpu::launch(products.runtime.stream(), write_sums<T>, {products.a.seq, 1, gpu::threads_for_row(columns)},
                sums.data, columns, to, pitch, dqkv.beta);
  }
}

void backward_cuda(const BackwardArgs& args, Workspace& workspace) {
  if (gpu::run_fused(args, workspace)) return;
  const gpu::Fault fault = fault_of(args.qkv);
  const Attention& a = args.attention;
  dispatch_storage(args.qkv.dtype(), [&]<class T>() {
    const Scores<T> p(block_elements(a), workspace), dp(block_elements(a), workspace);
    Wide<T>* const beside = workspace.take<Wide<T>>(sums_beside(args));
    const T *const qkv = args.qkv.data<const T>(), *const dy = args.dy.data<const T>();
    for_each_block<T>(a, args.qkv, args.first_key, [&](const Products<T>& products) {
      products.scores(qkv, p.sums);
      products.weight_gradients(dy, qkv, dp.sums);
      gpu::launch(products.runtime.stream(), score_gradients<T>, shape_of(a, products.b), products.b, fault,
                  args.y.data<const T>(), dy, args.log_sum.data<const Wide<T>>(), p, dp);
      products.query_gradients(dp.rounded, qkv, args.dqkv);
      const KeySums<T> sums = key_sums(products, args.dqkv, beside);
      products.key_gradients(p.rounded, dp.rounded, dy, qkv, sums);
      if (products.are_last()) finish(products, sums, args.dqkv);
    });
  });
}
std::int64_t backward_workspace(const BackwardArgs& args, int /*threads*/) {
  if (const auto fused = gpu::fused_workspace(args)) return *fused;
  const std::int64_t elements = block_elements(args.attention);
  const DType dtype = args.qkv.dtype();
  const WorkspacePart wide = wide_part(elements, dtype), rounded = rounded_part(elements, dtype);
  return workspace_bytes({wide, rounded, wide, rounded, {sums_beside(args), wide_of(dtype)}});
}

const gpu::Kernels kernels([] {
  Attention::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  Attention::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
