// Sums over the ranks in their order, and collectives among ranks of one address space. Every implementation
// adds in this order. So a sum has the same bits with threads and under MPI, and whether it is whole or
// scattered.
#pragma once
#include <span>

#include "distributed/communicators/collective.hpp"

namespace granule {

/// Every output [count] = sources[0] + sources[1] + …, element by element and in this order (or the maximum
/// or minimum). An output may be one of the sources.
void reduce_in_rank_order(DType dtype, ReduceOp reduce, std::int64_t count,
                          std::span<const std::byte* const> sources, std::span<std::byte* const> outputs);

/// Runs a collective whose parts are all here, in the order of the ranks.
void run_together(std::span<const Collective* const> ranks);

}  // namespace granule
