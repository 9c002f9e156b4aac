// Sums that run over the ranks in their order, and collectives among ranks of one address space. Every
// implementation adds in this order, so a sum has the same bits in threads and under MPI, reduced whole or
// scattered.
#pragma once
#include <span>

#include "distributed/communicators/collective.hpp"

namespace granule {

/// Every output [count] = sources[0] + sources[1] + … elementwise (or maximum, minimum), added in this order.
/// An output may be one of the sources.
void reduce_in_rank_order(DType dtype, ReduceOp reduce, std::int64_t count,
                          std::span<const std::byte* const> sources, std::span<std::byte* const> outputs);

/// Runs a collective of which all parts are at hand, in the order of the ranks.
void run_together(std::span<const Collective* const> ranks);

}  // namespace granule
