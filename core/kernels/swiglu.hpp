// Rows of SwiGLU, for the operator of that name and for experts.
#pragma once
#include <cstdint>

namespace granule {

/// y[rows, f] = silu(g) ∘ u of h[rows, 2f] = [g | u].
template <class T>
void swiglu_rows(const T* h, std::int64_t rows, std::int64_t f, T* y);

/// dh[rows, 2f] = [dy ∘ u ∘ silu'(g) | dy ∘ silu(g)] + beta dh; beta 0 does not read dh.
template <class T>
void swiglu_rows_backward(const T* h, const T* dy, std::int64_t rows, std::int64_t f, T* dh, double beta);

}  // namespace granule
