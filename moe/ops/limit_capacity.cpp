#include "moe/ops/limit_capacity.hpp"

#include <algorithm>
#include <numeric>

#include "moe/ops/select_experts.hpp"
#include "moe/ops/valid_tokens.hpp"

namespace granule {
namespace {

/// Sorts the copies (indices into id_NK) of valid rows by expert, and within an expert by token. Afterwards
/// end[e] is one past the last copy of expert e. There is one element of `end` more than experts.
void sort_copies(const LimitCapacityArgs& args, std::int64_t* end, std::int64_t* copies) {
  const std::int64_t n = args.id_NK.shape()[0], k = args.id_NK.shape()[1];
  const auto* const ids = args.id_NK.data<const std::int32_t>();
  std::fill_n(end, args.experts + 1, 0);
  for (std::int64_t copy = 0; copy < n * k; ++copy) {
    if (!is_valid(args.valid_N, copy / k)) continue;
    GRANULE_CHECK(ids[copy] >= 0 && ids[copy] < args.experts, "within_capacity: expert {} of {}", ids[copy],
                  args.experts);
    ++end[ids[copy] + 1];
  }
  std::partial_sum(end, end + args.experts + 1, end);
  for (std::int64_t copy = 0; copy < n * k; ++copy) {
    if (is_valid(args.valid_N, copy / k)) copies[end[ids[copy]]++] = copy;
  }
}

/// Puts the `taken` most affine copies of an expert first, the earlier of equal ones.
template <class T>
void prefer_affine(const LimitCapacityArgs& args, std::int64_t expert, std::int64_t* first,
                   std::int64_t taken, std::int64_t* last) {
  const std::int64_t k = args.id_NK.shape()[1];
  const T* const affinity = args.affinity_NE.data<const T>() + expert;
  std::nth_element(first, first + taken, last, [&](std::int64_t a, std::int64_t b) {
    const T left = comparable(affinity[a / k * args.experts]),
            right = comparable(affinity[b / k * args.experts]);
    return left != right ? left > right : a < b;
  });
}

void limit_cpu(const LimitCapacityArgs& args, Workspace& workspace) {
  auto* const end = workspace.take<std::int64_t>(args.experts + 1);
  auto* const copies = workspace.take<std::int64_t>(args.id_NK.numel());
  auto* const sent = args.sent_NK.data<std::int32_t>();
  std::fill_n(sent, args.sent_NK.numel(), -1);
  sort_copies(args, end, copies);
  for (std::int64_t e = 0; e < args.experts; ++e) {
    std::int64_t *const first = copies + (e == 0 ? 0 : end[e - 1]), *const last = copies + end[e];
    const std::int64_t taken = std::min<std::int64_t>(last - first, args.capacity);
    if (taken < last - first && args.affinity_NE.defined()) {
      dispatch_float(args.affinity_NE.dtype(),
                     [&]<class T>() { prefer_affine<T>(args, e, first, taken, last); });
    }
    for (std::int64_t i = 0; i < taken; ++i) sent[first[i]] = static_cast<std::int32_t>(e);
  }
}
std::int64_t limit_workspace(const LimitCapacityArgs& args, int /*threads*/) {
  return workspace_bytes({{args.experts + 1, DType::i64}, {args.id_NK.numel(), DType::i64}});
}

}  // namespace

constinit KernelSlot<LimitCapacityArgs> limit_capacity_kernel{"limit_capacity", limit_cpu, limit_workspace};

Tensor within_capacity(const Tensor& id_NK, const Tensor& affinity_NE, std::int64_t experts,
                       std::int64_t capacity, const Tensor& valid_N) {
  Tensor sent_NK = Tensor::empty(id_NK.context(), id_NK.shape(), DType::i32);
  limit_capacity_kernel({id_NK, affinity_NE, valid_N, experts, capacity, sent_NK});
  return sent_NK;
}

}  // namespace granule
