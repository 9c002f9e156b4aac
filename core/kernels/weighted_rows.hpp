// Rows that are gathered, scaled and summed: what dispatch and combine do to each token.
#pragma once
#include <cstdint>

#include "core/bf16.hpp"

namespace granule {

/// The rows of x that a token has, `pitch` elements apart. A place below 0 has no row.
template <class T>
struct PlacedRows {
  const T* x;
  std::int64_t pitch;
  const std::int32_t* place;
  std::int64_t count;
};

/// y = Σ_j w_j row_j + beta y over n columns, in the order of j. Without w all weights are 1. T is float,
/// double or bf16.
template <class T>
void sum_weighted_rows(const PlacedRows<T>& rows, const Wide<T>* w, std::int64_t n, double beta, T* y);

/// y = w x + beta y over n columns. With beta 0 it may write past the caches, so finish_rows() must follow.
template <class T>
void scale_row(const T* x, Wide<T> w, std::int64_t n, double beta, T* y);

/// What scale_row has written can be read by other threads after this.
void finish_rows();

}  // namespace granule
