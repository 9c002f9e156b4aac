// How the ranks of a job share a model out: the keys of [parallel].
#pragma once
#include <cstdint>

namespace granule {

/// What ranks share out instead of each holding all of it (ZeRO, arXiv 1910.02054): parallel.zero. Each stage
/// shares out what the one before it does, too.
enum class ZeroStage : std::uint8_t { nothing, optimizer, gradients, values };

struct ParallelLayout {
  std::int64_t ep = 1;  ///< ranks that share out the experts of a layer
  ZeroStage zero = ZeroStage::nothing;
  std::int64_t receive_limit = 0;  ///< rows that a rank receives for its experts at once; 0: all
};

}  // namespace granule
