#include "moe/ops/select_experts.hpp"

#include <algorithm>
#include <numeric>

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

/// Puts the indices of the `count` largest of n keys first, largest first. Ties are in the order of the
/// index.
template <class T>
void sort_largest(std::int32_t* order, std::int64_t count, const T* key, std::int64_t n) {
  std::iota(order, order + n, 0);
  std::partial_sort(order, order + count, order + n, [=](std::int32_t a, std::int32_t b) {
    return key[a] != key[b] ? key[a] > key[b] : a < b;
  });
}

/// Chooses for one row after the other. A thread has its own.
template <class T>
struct Chooser {
  /// Below every score that can be chosen.
  static constexpr T kExcluded = -std::numeric_limits<T>::infinity();
  const SelectExpertsArgs& args;
  std::int64_t experts;
  T *key, *group_score;
  std::int32_t *order, *group_order;

  void choose(const T* score, const float* bias, std::int32_t* ids) const {
    if (args.rule.masked > 0) find_masked(score);
    for (std::int64_t e = 0; e < experts; ++e)
      key[e] = comparable(bias == nullptr ? score[e] : score[e] + static_cast<T>(bias[e]));
    for (std::int64_t i = 0; i < args.rule.masked; ++i) key[order[i]] = kExcluded;
    if (args.rule.kept_groups < args.rule.groups) limit_groups();
    sort_largest(order, args.rule.k, key, experts);
    std::copy_n(order, args.rule.k, ids);
  }

  /// Puts the experts that are masked first in `order`.
  void find_masked(const T* score) const {
    std::transform(score, score + experts, key, comparable<T>);
    sort_largest(order, args.rule.masked, key, experts);
  }

  /// Excludes the experts of all groups but the best.
  void limit_groups() const {
    const std::int64_t groups = args.rule.groups, size = experts / groups;
    for (std::int64_t g = 0; g < groups; ++g) group_score[g] = score_of(key + g * size, size);
    sort_largest(group_order, args.rule.kept_groups, group_score, groups);
    for (std::int64_t i = args.rule.kept_groups; i < groups; ++i)
      std::fill_n(key + group_order[i] * size, size, kExcluded);
  }

  [[nodiscard]] T score_of(const T* group, std::int64_t size) const {
    T first = kExcluded, second = first;
    for (std::int64_t e = 0; e < size; ++e) {
      second = std::max(second, std::min(first, group[e]));
      first = std::max(first, group[e]);
    }
    const bool alone = args.rule.masked > 0 ? second == kExcluded : size == 1;
    const bool pair = args.rule.group_score == SelectionRule::GroupScore::sum_of_two && !alone;
    return pair ? first + second : first;
  }
};

template <class T>
void select(const SelectExpertsArgs& args, Workspace& workspace) {
  ThreadPool& pool = args.score_NE.context().pool();
  const std::int64_t n = args.score_NE.shape()[0], e = args.score_NE.shape()[1], k = args.rule.k,
                     groups = args.rule.groups;
  const T* const scores = args.score_NE.data<const T>();
  const float* const bias = args.bias_E.defined() ? args.bias_E.data<const float>() : nullptr;
  auto* const ids = args.id_NK.data<std::int32_t>();
  T *const key = workspace.take<T>(pool.size() * e), *const group_score =
                                                         workspace.take<T>(pool.size() * groups);
  auto *const order = workspace.take<std::int32_t>(pool.size() * e), *const group_order =
                                                                         workspace.take<std::int32_t>(
                                                                             pool.size() * groups);
  parallel_chunks(pool, n, kRows, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t thread = ThreadPool::thread_index();
    const Chooser<T> chooser{args,
                             e,
                             key + thread * e,
                             group_score + thread * groups,
                             order + thread * e,
                             group_order + thread * groups};
    for (std::int64_t i = begin; i < end; ++i) chooser.choose(scores + i * e, bias, ids + i * k);
  });
}

void select_cpu(const SelectExpertsArgs& args, Workspace& workspace) {
  dispatch_float(args.score_NE.dtype(), [&]<class T>() { select<T>(args, workspace); });
}
std::int64_t select_workspace(const SelectExpertsArgs& args, int threads) {
  const std::int64_t experts = threads * args.score_NE.shape()[1], groups = threads * args.rule.groups;
  const DType dtype = args.score_NE.dtype();
  return workspace_bytes({{experts, dtype}, {groups, dtype}, {experts, DType::i32}, {groups, DType::i32}});
}

void check_rule(const SelectionRule& rule, std::int64_t experts) {
  GRANULE_CHECK(rule.k >= 1 && rule.k <= experts, "selection: {} of {} experts", rule.k, experts);
  GRANULE_CHECK(rule.groups >= 1 && experts % rule.groups == 0, "selection: {} groups of {} experts",
                rule.groups, experts);
  GRANULE_CHECK(rule.kept_groups >= 1 && rule.kept_groups <= rule.groups &&
                    rule.k <= experts / rule.groups * rule.kept_groups,
                "selection: {} experts from {} of {} groups", rule.k, rule.kept_groups, rule.groups);
  GRANULE_CHECK(rule.masked >= 0 && rule.masked <= experts / rule.groups * rule.kept_groups - rule.k,
                "selection: {} experts from {} of {} groups, of which {} are masked", rule.k,
                rule.kept_groups, rule.groups, rule.masked);
}

}  // namespace

constinit KernelSlot<SelectExpertsArgs> select_experts_kernel{"select_experts", select_cpu, select_workspace};

Tensor select_experts(const Tensor& score_NE, const Tensor& bias_E, const SelectionRule& rule) {
  check_rule(rule, score_NE.shape()[1]);
  Tensor id_NK = Tensor::empty(score_NE.context(), {score_NE.shape()[0], rule.k}, DType::i32);
  select_experts_kernel({score_NE, bias_E, rule, id_NK});
  return id_NK;
}

}  // namespace granule
