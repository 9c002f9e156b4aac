// How often experts were chosen, and how often a choice was not carried out.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// How often each expert was chosen in each of `units` equal runs of rows: int64 [units, experts]. valid_N:
/// see moe/ops/valid_tokens.hpp.
[[nodiscard]] Tensor count_choices(const Tensor& id_NK, std::int64_t experts, std::int64_t units,
                                   const Tensor& valid_N = {});

/// int64 [experts]: how many choices of each expert were not carried out. Padding does not count. sent_NK is
/// id_NK with −1 for those choices.
[[nodiscard]] Tensor count_dropped(const Tensor& id_NK, const Tensor& sent_NK, std::int64_t experts,
                                   const Tensor& valid_N = {});

/// int64 [units, experts] summed over units: [1, experts].
[[nodiscard]] Tensor sum_units(const Tensor& count_UE);

struct CountChoicesArgs {
  Tensor id_NK, valid_N, count_UE;
};
extern KernelSlot<CountChoicesArgs> count_choices_kernel;

struct CountDroppedArgs {
  Tensor id_NK, sent_NK, valid_N, dropped_E;
};
extern KernelSlot<CountDroppedArgs> count_dropped_kernel;

struct SumUnitsArgs {
  Tensor count_UE, total_1E;
};
extern KernelSlot<SumUnitsArgs> sum_units_kernel;

}  // namespace granule
