// The arithmetic of one AdamW step over a run of elements.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"

namespace granule {

struct AdamWStep {
  double gradient_scale;
  double beta1, beta2;
  double keep;        ///< 1 − lr · weight_decay, or 1 for values that do not decay
  double rate;        ///< lr / (1 − β₁ᵗ)
  double root_scale;  ///< 1 / √(1 − β₂ᵗ)
  double eps;
};

/// Updates w, m and v from g, elementwise (optim/adamw.hpp has the formula).
template <class T>
void adamw_update(T* w, T* m, T* v, const T* g, std::int64_t n, const AdamWStep& step);
/// The same, and `rounded` becomes w in bf16.
void adamw_update(float* w, float* m, float* v, const float* g, bf16* rounded, std::int64_t n,
                  const AdamWStep& step);

/// Σ g² in float64. The order of the sum depends on n alone.
template <class T>
double sum_of_squares(const T* g, std::int64_t n);

}  // namespace granule
