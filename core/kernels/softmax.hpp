// Rows of exponentials: the softmax of attention, router and loss.
#pragma once
#include <cstdint>

namespace granule {

/// x[0, n) becomes softmax(scale · x); returns log Σ exp(scale · x). n > 0. Safe for any finite x.
template <class T>
double softmax_row(T* x, std::int64_t n, T scale);

/// x[0, n) becomes exp(scale · x − log_sum): the softmax again, from the log of its sum.
template <class T>
void softmax_row_again(T* x, std::int64_t n, T scale, T log_sum);

struct ExpSum {
  double sum;      ///< Σ exp(scale · x − scale · max x)
  double log_sum;  ///< log Σ exp(scale · x)
};
/// x[0, n) becomes exp(scale · x − scale · max x), the softmax times `sum`. n > 0.
template <class T>
ExpSum exp_row(T* x, std::int64_t n, T scale);

/// Backward of attention in one pass. x[0, n) becomes p = exp(scale · x − log_sum), and dp[0, n) becomes the
/// gradient of x: scale · p ∘ (dp − shift) with shift = ⟨p, dp⟩.
template <class T>
void softmax_row_backward(T* x, T* dp, std::int64_t n, T scale, T log_sum, T shift);

}  // namespace granule
