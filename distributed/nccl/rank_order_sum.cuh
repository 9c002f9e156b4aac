// Sums of what ranks have sent to each other, in the order of the ranks.
#pragma once
#include "core/dtype.hpp"
#include "core/gpu/launch.cuh"

namespace granule::gpu {

/// Addends of `count` elements, of each rank. A rank's own are elsewhere than those that it has received.
struct RankAddends {
  const std::byte* own;       ///< of rank `rank`
  const std::byte* received;  ///< of the other ranks in their order, each `stride` elements after the last
  std::int64_t stride;
  int rank, ranks;
};

/// sum [count] = addends of rank 0 + rank 1 + …, element by element and in this order, as
/// reduce_in_rank_order() adds them. `sum` may be the own addends. f32, f64, i32 and i64.
void sum_in_rank_order(cudaStream_t stream, DType dtype, std::int64_t count, const RankAddends& addends,
                       std::byte* sum);

}  // namespace granule::gpu
