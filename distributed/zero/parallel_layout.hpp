// How a model is sharded over the ranks of a job: the keys of [parallel].
#pragma once
#include <cstdint>

namespace granule {

/// What is sharded over the ranks (ZeRO, arXiv 1910.02054): parallel.zero. Each stage also shards what the
/// stage before it does.
enum class ZeroStage : std::uint8_t { nothing, optimizer, gradients, values };

struct ParallelLayout {
  std::int64_t ep = 1;  ///< ranks over which the experts of a layer are sharded
  ZeroStage zero = ZeroStage::nothing;
  std::int64_t receive_limit = 0;  ///< rows that a rank receives for its experts at once; 0: no limit
};

}  // namespace granule
