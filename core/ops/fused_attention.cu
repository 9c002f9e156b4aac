#include <cmath>
#include <limits>

#include "core/gpu/cudnn/attention_plans.cuh"
#include "core/gpu/elementwise.cuh"
#include "core/ops/fused_attention.cuh"

namespace granule::gpu {
namespace {

using dnn::AttentionPlan, dnn::AttentionShape, dnn::Direction;
using ForwardArgs = Attention::ForwardArgs;
using BackwardArgs = Attention::BackwardArgs;

AttentionShape shape_of(const Attention& a, const Tensor& first_key) {
  return {a.batch, a.seq, a.heads, a.kv_heads, a.qk_dim, a.v_dim, first_key.defined()};
}

template <class Args>
constexpr Direction kDirection = std::is_same_v<Args, ForwardArgs> ? Direction::forward : Direction::backward;

/// cuDNN reads 16 bytes at once. Every tensor of an arena begins where it can.
template <class... Tensors>
bool begin_at_packs(const Tensors&... tensors) {
  return ((!tensors.defined() || reinterpret_cast<std::uintptr_t>(tensors.raw()) % 16 == 0) && ...);
}
bool is_aligned(const ForwardArgs& args) {
  return begin_at_packs(args.qkv, args.y, args.log_sum);
}
bool is_aligned(const BackwardArgs& args) {
  return begin_at_packs(args.qkv, args.y, args.log_sum, args.dy, args.dqkv.dst);
}

/// nullptr if cuDNN does not compute this call.
template <class Args>
const AttentionPlan* plan_of(const Args& args) {
  if (args.qkv.dtype() != DType::bf16 || args.qkv.numel() == 0 || !is_aligned(args)) return nullptr;
  return runtime_of(args.qkv).attention_plans().find(kDirection<Args>,
                                                     shape_of(args.attention, args.first_key));
}

/// What one run takes: some of the sequences.
template <class Args>
AttentionShape shape_of_run(const Args& args, const AttentionPlan& plan) {
  AttentionShape shape = shape_of(args.attention, args.first_key);
  shape.batch = plan.sequences;
  return shape;
}

std::int64_t log_sums(const AttentionShape& shape) {
  return shape.batch * shape.seq * shape.heads;
}
std::int64_t qkv_elements(const AttentionShape& shape) {
  return shape.batch * shape.seq * shape.width();
}

/// Elements of a mask in packs of 16 bytes. They are bf16 as bits.
using MaskPack = Pack<std::uint16_t, 8>;
/// A number far below any score, and far from the least that a float can hold.
constexpr std::uint16_t kHiddenBits = 0xf14a;  // about −1e30

/// A block writes the row of one query: keys before its first key are hidden.
__global__ void __launch_bounds__(kThreads)
    write_mask(const std::int32_t* __restrict__ first_key, std::int64_t seq, std::int64_t packs, Fault fault,
               MaskPack* __restrict__ mask) {
  const std::int64_t query = blockIdx.x, first = first_key[query];
  if (threadIdx.x == 0 && (first < 0 || first > query % seq)) fault.report(query % seq, first);
  for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    MaskPack pack;
    for (int i = 0; i < 8; ++i) pack.value[i] = p * 8 + i < first ? kHiddenBits : std::uint16_t{0};
    mask[query * packs + p] = pack;
  }
}

/// One run of a plan for the sequences from `first` on. Scalars live as long as it.
class Run {
 public:
  Run(const Tensor& qkv, const Attention& a, const AttentionPlan& plan, std::int64_t first)
      : runtime_(runtime_of(qkv)),
        plan_(plan),
        row_(first * a.seq),
        scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.qk_dim)))) {
    bind(dnn::kScale, &scale_);
    bind(dnn::kHidden, &hidden_);
    bind_qkv(a, qkv.data<const bf16>() + row_ * a.width(), dnn::kQ, dnn::kK, dnn::kV);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void bind(std::int64_t id, const void* address) { bindings_.push_back({id, address}); }
  void bind_one() { bind(dnn::kOne, &one_); }
  void bind_qkv(const Attention& a, const bf16* rows, std::int64_t q, std::int64_t k, std::int64_t v) {
    bind(q, rows);
    bind(k, rows + a.heads * a.qk_dim);
    bind(v, rows + (a.heads + a.kv_heads) * a.qk_dim);
  }
  /// The rows of this run of a tensor with a row for each token.
  template <class T>
  [[nodiscard]] T* rows(const Tensor& tensor) const {
    return tensor.data<T>() + row_ * tensor.shape()[1];
  }
  void mask(const AttentionShape& shape, const Tensor& first_key, std::uint16_t* to) {
    if (!shape.masked) return;
    const std::int64_t packs = shape.mask_pitch() / 8;
    const Fault fault = GRANULE_FAULT(runtime_, "attention: token {} of a sequence sees from {} on");
    launch(runtime_.stream(), write_mask, {shape.batch * shape.seq, 1, threads_for_row(packs)},
           first_key.data<const std::int32_t>() + row_, shape.seq, packs, fault,
           reinterpret_cast<MaskPack*>(to));
    bind(dnn::kMask, to);
  }
  void start(const void* workspace) const {
    plan_.plan.run(runtime_.attention_plans().handle(), bindings_, workspace);
  }

 private:
  Runtime& runtime_;
  const AttentionPlan& plan_;
  std::int64_t row_;  // of the first token
  float scale_, hidden_ = std::numeric_limits<float>::lowest(), one_ = 1.0F;
  std::vector<dnn::Binding> bindings_;
};

struct Same {
  __device__ float operator()(float value) const { return value; }
};

}  // namespace

std::optional<std::int64_t> fused_workspace(const ForwardArgs& args) {
  const AttentionPlan* const plan = plan_of(args);
  if (plan == nullptr) return std::nullopt;
  const AttentionShape shape = shape_of_run(args, *plan);
  return workspace_bytes({{plan->plan.workspace(), DType::u8},
                          {mask_bytes(shape), DType::u8},
                          {args.log_sum.defined() ? 0 : log_sums(shape), DType::f32}});
}

bool run_fused(const ForwardArgs& args, Workspace& workspace) {
  const AttentionPlan* const plan = plan_of(args);
  if (plan == nullptr) return false;
  const Attention& a = args.attention;
  const AttentionShape shape = shape_of_run(args, *plan);
  auto* const scratch = workspace.take<std::byte>(plan->plan.workspace());
  auto* const mask = workspace.take<std::uint16_t>(mask_bytes(shape) / 2);
  // The graph always has log sums. Nobody reads them if nothing is saved.
  float* const unread = workspace.take<float>(args.log_sum.defined() ? 0 : log_sums(shape));
  for (std::int64_t first = 0; first < a.batch; first += plan->sequences) {
    Run run(args.qkv, a, *plan, first);
    run.mask(shape, args.first_key, mask);
    run.bind(dnn::kY, run.rows<bf16>(args.y));
    run.bind(dnn::kLogSum, args.log_sum.defined() ? run.rows<float>(args.log_sum) : unread);
    run.start(scratch);
  }
  return true;
}

std::optional<std::int64_t> fused_workspace(const BackwardArgs& args) {
  const AttentionPlan* const plan = plan_of(args);
  if (plan == nullptr) return std::nullopt;
  const AttentionShape shape = shape_of_run(args, *plan);
  return workspace_bytes({{plan->plan.workspace(), DType::u8},
                          {mask_bytes(shape), DType::u8},
                          {log_sums(shape), DType::f32},
                          {args.dqkv.beta == 0.0 ? 0 : qkv_elements(shape), DType::bf16}});
}

bool run_fused(const BackwardArgs& args, Workspace& workspace) {
  const AttentionPlan* const plan = plan_of(args);
  if (plan == nullptr) return false;
  const Attention& a = args.attention;
  const AttentionShape shape = shape_of_run(args, *plan);
  const bool adds = args.dqkv.beta != 0.0;
  auto* const scratch = workspace.take<std::byte>(plan->plan.workspace());
  auto* const mask = workspace.take<std::uint16_t>(mask_bytes(shape) / 2);
  float* const dots = workspace.take<float>(log_sums(shape));
  bf16* const apart = workspace.take<bf16>(adds ? qkv_elements(shape) : 0);  // cuDNN only overwrites
  for (std::int64_t first = 0; first < a.batch; first += plan->sequences) {
    Run run(args.qkv, a, *plan, first);
    bf16* const to = run.rows<bf16>(args.dqkv.dst);
    run.mask(shape, args.first_key, mask);
    run.bind_one();
    run.bind(dnn::kY, run.rows<const bf16>(args.y));
    run.bind(dnn::kDy, run.rows<const bf16>(args.dy));
    run.bind(dnn::kLogSum, run.rows<const float>(args.log_sum));
    run.bind(dnn::kDot, dots);
    run.bind_qkv(a, adds ? apart : to, dnn::kDq, dnn::kDk, dnn::kDv);
    run.start(scratch);
    if (adds)
      map_elements<bf16>(runtime_of(args.qkv).stream(), qkv_elements(shape), Same{}, to, args.dqkv.beta,
                         apart);
  }
  return true;
}

}  // namespace granule::gpu
