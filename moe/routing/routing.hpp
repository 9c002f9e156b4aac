// Where the copies of tokens are after they were sorted by expert.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// The copies of N tokens, up to K of each, sorted by expert and within an expert by token. There are R rows,
/// which is N·K if no copy is dropped.
struct Routing {
  std::int64_t tokens, k;
  Tensor offset_E1;  ///< int64 [experts + 1]: expert e owns rows [offset[e], offset[e + 1])
  Tensor token_R;    ///< int32: the token that a row is a copy of
  Tensor row_NK;     ///< int32: the rows of a token's copies; −1: dropped
  [[nodiscard]] std::int64_t rows() const { return token_R.numel(); }
  [[nodiscard]] std::int64_t experts() const { return offset_E1.numel() - 1; }
};
/// Sorts by the experts that tokens are sent to; −1 is nowhere.
[[nodiscard]] Routing sort_by_expert(const Tensor& id_NK, std::int64_t experts);

}  // namespace granule
