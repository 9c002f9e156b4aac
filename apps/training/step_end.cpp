#include "apps/training/step_end.hpp"

#include <array>

namespace granule {

StepEnd agree_on_step_end(Communicator& ranks, const StepEnd& mine) {
  constexpr std::int64_t kFirstRank = 1 << 16;
  const std::int64_t signal = mine.request.stop;
  const std::int64_t stop = signal == 0 ? 0 : signal + (ranks.rank() == 0 ? kFirstRank : 0);
  std::array<std::int64_t, 3> highest{stop, mine.request.save ? 1 : 0, mine.peak_bytes};
  ranks.all_reduce(std::span(highest), ReduceOp::max, "step end").wait();
  return {{.save = highest[1] != 0, .stop = static_cast<int>(highest[0] % kFirstRank)}, highest[2]};
}

}  // namespace granule
