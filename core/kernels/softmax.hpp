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

/// dp[0, n) becomes scale · p ∘ (dp − shift): the gradient of a softmax's input, shift = ⟨p, dp⟩.
template <class T>
void softmax_row_backward(const T* p, T* dp, std::int64_t n, T scale, T shift);

}  // namespace granule
