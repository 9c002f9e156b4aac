// How a job is laid out over its ranks: the keys of [parallel], and the place of a rank among the others.
#pragma once
#include <cstdint>

#include "core/device.hpp"

namespace granule {

/// What is sharded over the ranks (ZeRO, arXiv 1910.02054). Each stage also shards what the stage before it
/// does.
enum class ZeroStage : std::uint8_t { nothing, optimizer, gradients, values };

struct ParallelLayout {
  std::int64_t ep = 1;             ///< ranks over which the experts of a layer are sharded
  std::int64_t zero = 0;           ///< ZeRO stage, 0 to 3
  std::int64_t receive_limit = 0;  ///< token copies that a rank receives for its experts at once; 0: no limit
  bool offload = false;            ///< moments and masters are in pinned memory of the host

  [[nodiscard]] Place place_of_optimizer() const { return offload ? Place::pinned : Place::device; }
  [[nodiscard]] ZeroStage stage() const { return static_cast<ZeroStage>(zero); }
  friend bool operator==(const ParallelLayout&, const ParallelLayout&) = default;
};

/// Ranks are a table with rows of `ep` ranks: rank = row · ep + column.
struct MeshPosition {
  std::int64_t ranks = 1, ep = 1, rank = 0;
  [[nodiscard]] std::int64_t rows() const { return ranks / ep; }
  [[nodiscard]] std::int64_t row() const { return rank / ep; }
  [[nodiscard]] std::int64_t column() const { return rank % ep; }
  /// The position of another rank of the same job.
  [[nodiscard]] MeshPosition of_rank(std::int64_t other) const { return {ranks, ep, other}; }
};

}  // namespace granule
