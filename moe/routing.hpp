// Which expert every token goes to, and where its copies stand once they are sorted by expert. No gradients
// here: choices are constants of the backward pass.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// The ids of the K largest scores of each row, largest first; of equal scores the lower id. id_NK int32.
[[nodiscard]] Tensor select_top_k(const Tensor& score_NE, std::int64_t k);

/// How often each expert was chosen in each of `units` equal runs of rows: int64 [units, experts].
[[nodiscard]] Tensor count_choices(const Tensor& id_NK, std::int64_t experts, std::int64_t units);

/// The copies of N tokens, K each, sorted by expert and within an expert by token: R = N·K rows.
struct Routing {
  std::int64_t tokens, k;
  Tensor offset_E1;  ///< int64 [experts + 1]: expert e owns rows [offset[e], offset[e + 1])
  Tensor token_R;    ///< int32: which token a row is a copy of
  Tensor row_NK;     ///< int32: where the copies of a token stand
  [[nodiscard]] std::int64_t rows() const { return tokens * k; }
  [[nodiscard]] std::int64_t experts() const { return offset_E1.numel() - 1; }
};
[[nodiscard]] Routing sort_by_expert(const Tensor& id_NK, std::int64_t experts);

}  // namespace granule
