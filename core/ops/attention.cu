// Attention by batched products and a masked softmax between them, one block of queries at a time. It takes
// every head size and both dtypes.
#include <cmath>

#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "core/kernels/gemm.cuh"
#include "core/ops/attention.hpp"

namespace granule {
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

/// What the kernels between the products know of a block: query i of it and head h have the row h · queries +
/// i.
struct Rows {
  std::int64_t first, queries, keys;  // the first query in its sequence
  std::int64_t row;                   // of the first query among all tokens
  std::int64_t heads, head, group;    // the head of key-value head h is head + h · group
  std::int64_t v_dim;
  double scale;
  const std::int32_t* first_key;  // nullptr: 0
};

/// The keys [from, to) that the query of this block of threads sees.
struct Visible {
  std::int64_t from, to;
  __device__ Visible(const Rows& b, std::int64_t i, const gpu::Fault& fault)
      : from(b.first_key == nullptr ? 0 : b.first_key[b.row + i]), to(b.first + i + 1) {
    if (from >= 0 && from < to) return;
    if (threadIdx.x == 0) fault.report(to - 1, from);
    from = 0;
  }
};

/// There is one block of threads for each row of scores. Hidden keys get 0.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    softmax_rows(Rows b, gpu::Fault fault, T* __restrict__ scores, T* log_sum) {
  const std::int64_t i = blockIdx.x, h = blockIdx.y;
  T* const row = scores + (h * b.queries + i) * b.keys;
  const Visible seen(b, i, fault);
  const T scale = static_cast<T>(b.scale);
  T most = gpu::minus_infinity<T>();
  for (std::int64_t k = seen.from + threadIdx.x; k < seen.to; k += blockDim.x)
    most = gpu::larger(most, row[k]);
  most = gpu::over_block(most, gpu::minus_infinity<T>(), gpu::Maximum{}) * scale;
  T sum = T(0);
  for (std::int64_t k = seen.from + threadIdx.x; k < seen.to; k += blockDim.x)
    sum += gpu::exp_of(row[k] * scale - most);
  const double all = gpu::over_block(static_cast<double>(sum));
  const T inverse = static_cast<T>(1.0 / all);
  for (std::int64_t k = threadIdx.x; k < b.keys; k += blockDim.x)
    row[k] = k >= seen.from && k < seen.to ? gpu::exp_of(row[k] * scale - most) * inverse : T(0);
  if (log_sum == nullptr || threadIdx.x != 0) return;
  log_sum[(b.row + i) * b.heads + b.head + h * b.group] =
      static_cast<T>(static_cast<double>(most) + log(all));
}

/// Turns scores into P, and dP into dS = scale · P ∘ (dP − ⟨y, dy⟩).
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    score_gradients(Rows b, gpu::Fault fault, const T* __restrict__ y, const T* __restrict__ dy,
                    const T* __restrict__ log_sum, T* __restrict__ p, T* __restrict__ dp) {
  const std::int64_t i = blockIdx.x, h = blockIdx.y, head = (b.row + i) * b.heads + b.head + h * b.group;
  T shift = T(0);
  for (std::int64_t c = threadIdx.x; c < b.v_dim; c += blockDim.x)
    shift += y[head * b.v_dim + c] * dy[head * b.v_dim + c];
  shift = gpu::over_block(shift);
  const Visible seen(b, i, fault);
  const T scale = static_cast<T>(b.scale), sum = log_sum[head];
  const std::int64_t row = (h * b.queries + i) * b.keys;
  for (std::int64_t k = threadIdx.x; k < b.keys; k += blockDim.x) {
    const bool visible = k >= seen.from && k < seen.to;
    const T weight = visible ? gpu::exp_of(p[row + k] * scale - sum) : T(0);
    p[row + k] = weight;
    dp[row + k] = visible ? scale * weight * (dp[row + k] - shift) : T(0);
  }
}

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
  void scores(const T* qkv, T* s) const {
    gpu::gemm<T>(runtime, b.queries, b.keys, a.qk_dim, {queries(qkv), a.width()},
                 {keys(qkv), a.width(), Transpose::yes}, {s, b.keys},
                 {a.kv_heads, query_step(), a.qk_dim, plane()});
  }
  /// Y = P V
  void output(const T* p, const T* qkv, T* y) const {
    gpu::gemm<T>(runtime, b.queries, a.v_dim, b.keys, {p, b.keys}, {values(qkv), a.width()},
                 {y + outputs(), out()}, {a.kv_heads, plane(), a.v_dim, output_step()});
  }
  /// dP = dY Vᵀ
  void weight_gradients(const T* dy, const T* qkv, T* dp) const {
    gpu::gemm<T>(runtime, b.queries, b.keys, a.v_dim, {dy + outputs(), out()},
                 {values(qkv), a.width(), Transpose::yes}, {dp, b.keys},
                 {a.kv_heads, output_step(), a.v_dim, plane()});
  }
  /// dQ = dS K, dK += dSᵀ Q, dV += Pᵀ dY
  void input_gradients(const T* p, const T* ds, const T* dy, const T* qkv, T* dqkv, double query_beta,
                       double key_beta) const {
    const std::int64_t w = a.width(), first = start * w;
    gpu::gemm<T>(runtime, b.queries, a.qk_dim, b.keys, {ds, b.keys}, {keys(qkv), w},
                 {dqkv + b.row * w + query_column(), w, query_beta},
                 {a.kv_heads, plane(), a.qk_dim, query_step()});
    gpu::gemm<T>(runtime, b.keys, a.qk_dim, b.queries, {ds, b.keys, Transpose::yes}, {queries(qkv), w},
                 {dqkv + first + key_column(), w, key_beta}, {a.kv_heads, plane(), query_step(), a.qk_dim});
    gpu::gemm<T>(runtime, b.keys, a.v_dim, b.queries, {p, b.keys, Transpose::yes}, {dy + outputs(), out()},
                 {dqkv + first + value_column(), w, key_beta}, {a.kv_heads, plane(), output_step(), a.v_dim});
  }
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
  const gpu::Fault fault = fault_of(args.qkv);
  dispatch_float(args.qkv.dtype(), [&]<class T>() {
    T* const p = workspace.take<T>(block_elements(args.attention));
    const T* const qkv = args.qkv.data<const T>();
    T* const log_sum = args.log_sum.defined() ? args.log_sum.data<T>() : nullptr;
    for_each_block<T>(args.attention, args.qkv, args.first_key, [&](const Products<T>& products) {
      products.scores(qkv, p);
      gpu::launch(products.runtime.stream(), softmax_rows<T>, shape_of(args.attention, products.b),
                  products.b, fault, p, log_sum);
      products.output(p, qkv, args.y.data<T>());
    });
  });
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  return workspace_bytes({{block_elements(args.attention), args.qkv.dtype()}});
}

void backward_cuda(const BackwardArgs& args, Workspace& workspace) {
  const gpu::Fault fault = fault_of(args.qkv);
  const Attention& a = args.attention;
  dispatch_float(args.qkv.dtype(), [&]<class T>() {
    T *const p = workspace.take<T>(block_elements(a)), *const dp = workspace.take<T>(block_elements(a));
    const T *const qkv = args.qkv.data<const T>(), *const dy = args.dy.data<const T>();
    for_each_block<T>(a, args.qkv, args.first_key, [&](const Products<T>& products) {
      products.scores(qkv, p);
      products.weight_gradients(dy, qkv, dp);
      gpu::launch(products.runtime.stream(), score_gradients<T>, shape_of(a, products.b), products.b, fault,
                  args.y.data<const T>(), dy, args.log_sum.data<const T>(), p, dp);
      const bool writes_first = products.b.keys == a.seq && products.b.head == 0;
      products.input_gradients(p, dp, dy, qkv, args.dqkv.dst.data<T>(), args.dqkv.beta,
                               writes_first ? args.dqkv.beta : 1.0);
    });
  });
}
std::int64_t backward_workspace(const BackwardArgs& args, int /*threads*/) {
  const std::int64_t elements = block_elements(args.attention);
  return workspace_bytes({{elements, args.qkv.dtype()}, {elements, args.qkv.dtype()}});
}

const gpu::Kernels kernels([] {
  Attention::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  Attention::backward_kernel.fill(DeviceType::cuda, backward_cuda, backward_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
