#include "moe/ops/count_choices.hpp"

#include <algorithm>

#include "moe/ops/valid_tokens.hpp"

namespace granule {
namespace {

void count_choices_cpu(const CountChoicesArgs& args) {
  const std::int64_t n = args.id_NK.shape()[0], k = args.id_NK.shape()[1], units = args.count_UE.shape()[0],
                     experts = args.count_UE.shape()[1];
  auto* const count = args.count_UE.data<std::int64_t>();
  const auto* const ids = args.id_NK.data<const std::int32_t>();
  std::fill_n(count, units * experts, 0);
  for (std::int64_t row = 0; row < n; ++row) {
    if (!is_valid(args.valid_N, row)) continue;
    for (std::int64_t j = row * k; j < (row + 1) * k; ++j) {
      GRANULE_CHECK(ids[j] >= 0 && ids[j] < experts, "count_choices: expert {} of {}", ids[j], experts);
      ++count[row / (n / units) * experts + ids[j]];
    }
  }
}

void count_dropped_cpu(const CountDroppedArgs& args) {
  const std::int64_t copies = args.id_NK.numel(), k = args.id_NK.shape()[1];
  const auto *const ids = args.id_NK.data<const std::int32_t>(), *const sent =
                                                                     args.sent_NK.data<const std::int32_t>();
  auto* const dropped = args.dropped_E.data<std::int64_t>();
  std::fill_n(dropped, args.dropped_E.numel(), 0);
  for (std::int64_t i = 0; i < copies; ++i) {
    if (sent[i] < 0 && is_valid(args.valid_N, i / k)) ++dropped[ids[i]];
  }
}

void sum_units_cpu(const SumUnitsArgs& args) {
  const std::int64_t all = args.count_UE.numel(), experts = args.total_1E.numel();
  const auto* const count = args.count_UE.data<const std::int64_t>();
  auto* const total = args.total_1E.data<std::int64_t>();
  std::fill_n(total, experts, 0);
  for (std::int64_t i = 0; i < all; ++i) total[i % experts] += count[i];
}

}  // namespace

constinit KernelSlot<CountChoicesArgs> count_choices_kernel{"count_choices", count_choices_cpu};
constinit KernelSlot<CountDroppedArgs> count_dropped_kernel{"count_dropped", count_dropped_cpu};
constinit KernelSlot<SumUnitsArgs> sum_units_kernel{"sum_units", sum_units_cpu};

Tensor count_choices(const Tensor& id_NK, std::int64_t experts, std::int64_t units, const Tensor& valid_N) {
  const std::int64_t n = id_NK.shape()[0];
  GRANULE_CHECK(units > 0 ? n % units == 0 : n == 0, "count_choices: {} rows in {} equal units", n, units);
  Tensor count_UE = Tensor::empty(id_NK.context(), {units, experts}, DType::i64);
  count_choices_kernel({id_NK, valid_N, count_UE});
  return count_UE;
}

Tensor count_dropped(const Tensor& id_NK, const Tensor& sent_NK, std::int64_t experts,
                     const Tensor& valid_N) {
  Tensor dropped_E = Tensor::empty(id_NK.context(), {experts}, DType::i64);
  count_dropped_kernel({id_NK, sent_NK, valid_N, dropped_E});
  return dropped_E;
}

Tensor sum_units(const Tensor& count_UE) {
  Tensor total_1E = Tensor::empty(count_UE.context(), {1, count_UE.shape()[1]}, DType::i64);
  sum_units_kernel({count_UE, total_1E});
  return total_1E;
}

}  // namespace granule
