// Which rows of a micro-batch are tokens and which are padding. Padding is not routed and not counted, and no
// loss of a router includes it.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// valid_N is int32, and 0 marks padding. If it is undefined, every row is a token.
[[nodiscard]] inline bool is_valid(const Tensor& valid_N, std::int64_t row) {
  return !valid_N.defined() || valid_N.data<const std::int32_t>()[row] != 0;
}

/// How many of the rows [begin, end) are tokens.
[[nodiscard]] inline std::int64_t count_valid(const Tensor& valid_N, std::int64_t end,
                                              std::int64_t begin = 0) {
  if (!valid_N.defined()) return end - begin;
  std::int64_t count = 0;
  for (std::int64_t row = begin; row < end; ++row) count += is_valid(valid_N, row) ? 1 : 0;
  return count;
}

}  // namespace granule
