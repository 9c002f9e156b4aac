// Where the copies of tokens stand once they are sorted by expert.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// The copies of N tokens, up to K each, sorted by expert and within an expert by token: R rows, N·K where no
/// copy is dropped.
struct Routing {
  std::int64_t tokens, k;
  Tensor offset_E1;  ///< int64 [experts + 1]: expert e owns rows [offset[e], offset[e + 1])
  Tensor token_R;    ///< int32: which token a row is a copy of
  Tensor row_NK;     ///< int32: where the copies of a token stand; −1: dropped
  [[nodiscard]] std::int64_t rows() const { return token_R.numel(); }
  [[nodiscard]] std::int64_t experts() const { return offset_E1.numel() - 1; }
};
/// Of the experts that tokens are sent to; −1: nowhere.
[[nodiscard]] Routing sort_by_expert(const Tensor& id_NK, std::int64_t experts);

}  // namespace granule
