// The axes of a job: its ranks as a table of data × expert.
#pragma once
#include <memory>

#include "distributed/communicators/communicator.hpp"
#include "distributed/communicators/parallel_layout.hpp"

namespace granule {

/// Refuses (exit code 2) a layout that `ranks` ranks cannot have for this many routed experts. A dense model
/// has none, and takes ep = 1. The error names the key and where it was set.
void check_layout(const ParallelLayout& layout, std::int64_t experts, std::int64_t ranks,
                  std::string_view where = "parallel.ep");

/// A row has every expert once and exchanges tokens. A column has the same
/// experts on each of its ranks and sums their gradients. Rows are adjacent ranks, because tokens are the
/// larger traffic and launchers fill hosts in order.
struct Mesh {
  Communicator& world;                 ///< dense parameters are summed here
  std::unique_ptr<Communicator> data;  ///< ranks with the same experts: size world / ep
  /// Ranks over which the experts are sharded: size ep. Rank r, counted from 0, holds part r.
  std::unique_ptr<Communicator> expert;
  [[nodiscard]] MeshPosition position() const { return {world.size(), expert->size(), world.rank()}; }
};

/// All ranks of `world` together. Throws as check_layout().
[[nodiscard]] Mesh make_mesh(Communicator& world, const ParallelLayout& layout, std::int64_t experts);

}  // namespace granule
