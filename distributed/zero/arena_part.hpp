// A flat quantity with the layout of the parameters' arena (values, gradients, a moment), as one rank has it.
// It is whole, or it is the rank's parts of the buckets, one after the other. Gradients and moments end where
// the frozen parameters begin.
#pragma once
#include <functional>

#include "distributed/zero/shard_plan.hpp"

namespace granule {

enum class Extent : std::uint8_t { whole, parts };
enum class Covers : std::uint8_t { everything, trainable };

struct ArenaPart {
  /// Elements [begin, begin + size) of the arena. In the part they begin at `at`.
  struct Range {
    std::int64_t begin, size, at;
  };

  Tensor data;
  Extent extent = Extent::whole;
  Covers covers = Covers::everything;
  [[nodiscard]] bool has(const LogicalTensor& tensor) const {
    return covers == Covers::everything || tensor.trainable;
  }
};

/// What this rank has of elements [begin, end) of the arena, in their order.
[[nodiscard]] std::vector<ArenaPart::Range> ranges_held(const ShardPlan& plan, Extent extent,
                                                        std::int64_t begin, std::int64_t end);
/// What another rank of the same job has in its parts.
[[nodiscard]] std::vector<ArenaPart::Range> ranges_of_rank(const ShardPlan& plan, std::int64_t rank,
                                                           std::int64_t begin, std::int64_t end);

}  // namespace granule
