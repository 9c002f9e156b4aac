#include "moe/routing/selection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/random.hpp"
#include "moe/routing/valid_tokens.hpp"

namespace granule {
namespace {

using Ids = std::vector<std::int32_t>;

/// Sorting needs numbers. NaN, from a model that has diverged, counts as the lowest number, but above what a
/// group limit excludes.
template <class T>
T comparable(T score) {
  return std::isnan(score) ? std::numeric_limits<T>::lowest() : score;
}

/// Puts the indices of the `count` largest keys first, largest first. Ties are in the order of the index.
template <class T>
void sort_largest(Ids& order, std::int64_t count, const std::vector<T>& key) {
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](std::int32_t a, std::int32_t b) {
    const T left = key[static_cast<std::size_t>(a)], right = key[static_cast<std::size_t>(b)];
    return left != right ? left > right : a < b;
  });
}

/// Excludes the experts of all groups but the best.
template <class T>
class GroupLimit {
 public:
  GroupLimit(const SelectionRule& rule, std::int64_t experts)
      : rule_(rule),
        size_(experts / rule.groups),
        score_(static_cast<std::size_t>(rule.groups)),
        order_(static_cast<std::size_t>(rule.groups)) {}

  void apply(std::vector<T>& key) {
    for (std::int64_t g = 0; g < rule_.groups; ++g)
      score_[static_cast<std::size_t>(g)] = score_of(key.data() + g * size_);
    sort_largest(order_, rule_.kept_groups, score_);
    for (auto g = order_.begin() + rule_.kept_groups; g != order_.end(); ++g)
      std::fill_n(key.begin() + *g * size_, size_, -std::numeric_limits<T>::infinity());
  }

 private:
  T score_of(const T* key) const {
    T first = -std::numeric_limits<T>::infinity(), second = first;
    for (std::int64_t e = 0; e < size_; ++e) {
      second = std::max(second, std::min(first, key[e]));
      first = std::max(first, key[e]);
    }
    const bool pair = rule_.group_score == SelectionRule::GroupScore::sum_of_two && size_ > 1;
    return pair ? first + second : first;
  }
  SelectionRule rule_;
  std::int64_t size_;
  std::vector<T> score_;
  Ids order_;
};

void check_rule(const SelectionRule& rule, std::int64_t experts) {
  GRANULE_CHECK(rule.k >= 1 && rule.k <= experts, "selection: {} of {} experts", rule.k, experts);
  GRANULE_CHECK(rule.groups >= 1 && experts % rule.groups == 0, "selection: {} groups of {} experts",
                rule.groups, experts);
  GRANULE_CHECK(rule.kept_groups >= 1 && rule.kept_groups <= rule.groups &&
                    rule.k <= experts / rule.groups * rule.kept_groups,
                "selection: {} experts from {} of {} groups", rule.k, rule.kept_groups, rule.groups);
}

/// The copies (indices into id_NK) that want expert e, by decreasing affinity, earlier tokens first.
template <class T>
void order_by_affinity(std::vector<std::int64_t>& copies, const T* affinity, std::int64_t k,
                       std::int64_t experts, std::int64_t expert) {
  if (affinity == nullptr) return;  // they are already in the order of tokens
  std::stable_sort(copies.begin(), copies.end(), [&](std::int64_t a, std::int64_t b) {
    return comparable(affinity[a / k * experts + expert]) > comparable(affinity[b / k * experts + expert]);
  });
}

}  // namespace

SelectionRule selection_rule(const MoeConfig& moe) {
  return {moe.num_experts_per_tok, moe.n_group, moe.topk_group,
          moe.scoring_func == ScoringFunction::sigmoid ? SelectionRule::GroupScore::sum_of_two
                                                       : SelectionRule::GroupScore::maximum};
}

Tensor select_experts(const Tensor& score_NE, const Tensor& bias_E, const SelectionRule& rule) {
  const std::int64_t n = score_NE.shape()[0], e = score_NE.shape()[1], k = rule.k;
  check_rule(rule, e);
  Tensor id_NK = Tensor::empty(score_NE.context(), {n, k}, DType::i32);
  dispatch_float(score_NE.dtype(), [&]<class T>() {
    const T* const scores = score_NE.data<const T>();
    const float* const bias = bias_E.defined() ? bias_E.data<const float>() : nullptr;
    auto* const ids = id_NK.data<std::int32_t>();
    parallel_chunks(score_NE.context().pool(), n, 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<T> key(static_cast<std::size_t>(e));
      Ids order(static_cast<std::size_t>(e));
      GroupLimit<T> limit(rule, e);
      for (std::int64_t i = begin; i < end; ++i) {
        std::copy_n(scores + i * e, e, key.begin());
        for (std::int64_t j = 0; bias != nullptr && j < e; ++j)
          key[static_cast<std::size_t>(j)] += static_cast<T>(bias[j]);
        std::transform(key.begin(), key.end(), key.begin(), comparable<T>);
        if (rule.kept_groups < rule.groups) limit.apply(key);
        sort_largest(order, k, key);
        std::copy_n(order.begin(), k, ids + i * k);
      }
    });
  });
  return id_NK;
}

Tensor hash_experts(const Tensor& token_N, std::int64_t experts, std::int64_t k, std::int64_t seed) {
  GRANULE_CHECK(k >= 1 && k <= experts, "hash router: {} of {} experts", k, experts);
  Tensor id_NK = Tensor::empty(token_N.context(), {token_N.numel(), k}, DType::i32);
  const auto tokens = token_N.span<const std::int32_t>();
  auto* id = id_NK.data<std::int32_t>();
  for (const std::int32_t token : tokens) {
    const RandomStream random(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(token));
    // Floyd's sampling draws k distinct numbers below `experts` with k draws.
    for (std::int64_t j = experts - k; j < experts; ++j, ++id) {
      const auto drawn = static_cast<std::int32_t>(
          random.below(static_cast<std::uint64_t>(j) + 1, static_cast<std::uint64_t>(j)));
      auto* const first = id - (j - (experts - k));
      *id = std::find(first, id, drawn) == id ? drawn : static_cast<std::int32_t>(j);
    }
  }
  return id_NK;
}

Tensor count_choices(const Tensor& id_NK, std::int64_t experts, std::int64_t units, const Tensor& valid_N) {
  const std::int64_t n = id_NK.shape()[0], k = id_NK.shape()[1];
  GRANULE_CHECK(units > 0 ? n % units == 0 : n == 0, "count_choices: {} rows in {} equal units", n, units);
  Tensor counts = Tensor::zeros(id_NK.context(), {units, experts}, DType::i64);
  auto* const count = counts.data<std::int64_t>();
  const auto* const ids = id_NK.data<const std::int32_t>();
  for (std::int64_t row = 0; row < n; ++row) {
    if (!is_valid(valid_N, row)) continue;
    for (std::int64_t j = row * k; j < (row + 1) * k; ++j) {
      GRANULE_CHECK(ids[j] >= 0 && ids[j] < experts, "count_choices: expert {} of {}", ids[j], experts);
      ++count[row / (n / units) * experts + ids[j]];
    }
  }
  return counts;
}

Tensor within_capacity(const Tensor& id_NK, const Tensor& affinity_NE, std::int64_t experts,
                       std::int64_t capacity, const Tensor& valid_N) {
  const std::int64_t n = id_NK.shape()[0], k = id_NK.shape()[1];
  Tensor sent = Tensor::empty(id_NK.context(), id_NK.shape(), DType::i32);
  const auto ids = id_NK.span<const std::int32_t>();
  const auto out = sent.span<std::int32_t>();
  std::fill(out.begin(), out.end(), -1);
  std::vector<std::vector<std::int64_t>> wanting(static_cast<std::size_t>(experts));
  for (std::int64_t copy = 0; copy < n * k; ++copy) {
    if (is_valid(valid_N, copy / k))
      wanting[static_cast<std::size_t>(ids[static_cast<std::size_t>(copy)])].push_back(copy);
  }
  const DType dtype = affinity_NE.defined() ? affinity_NE.dtype() : DType::f32;
  dispatch_float(dtype, [&]<class T>() {
    const T* const affinity = affinity_NE.defined() ? affinity_NE.data<const T>() : nullptr;
    for (std::int64_t e = 0; e < experts; ++e) {
      auto& copies = wanting[static_cast<std::size_t>(e)];
      const auto taken = std::min(static_cast<std::int64_t>(copies.size()), capacity);
      if (taken < static_cast<std::int64_t>(copies.size()))
        order_by_affinity(copies, affinity, k, experts, e);
      for (std::int64_t i = 0; i < taken; ++i)
        out[static_cast<std::size_t>(copies[static_cast<std::size_t>(i)])] = static_cast<std::int32_t>(e);
    }
  });
  return sent;
}

std::int64_t expert_capacity(const MoeConfig& moe, std::int64_t tokens) {
  const double share = moe.capacity_factor * static_cast<double>(moe.num_experts_per_tok) *
                       static_cast<double>(tokens) / static_cast<double>(moe.n_routed_experts);
  // 1.1 is stored as a little more than 1.1. Then ceil of a product that should be whole would be one too
  // large.
  constexpr double kRounding = 1e-12;
  const double whole = std::round(share);
  return static_cast<std::int64_t>(std::abs(share - whole) <= kRounding * whole ? whole : std::ceil(share));
}

}  // namespace granule
