#include "distributed/zero/slot_schedule.hpp"

namespace granule {

SlotSchedule::SlotSchedule(const TransientPlan& plan) : plan_(plan) {
  forget();
}

void SlotSchedule::want(std::int64_t unit, std::vector<std::size_t>& missing) {
  if (unit < 0 || unit >= std::ssize(plan_.of_unit)) return;
  for (const std::size_t group : plan_.of_unit[static_cast<std::size_t>(unit)]) {
    std::size_t& holder = holder_[plan_.groups[group].slot];
    if (holder == group) continue;
    holder = group;
    missing.push_back(group);
  }
}

std::vector<std::size_t> SlotSchedule::enter(std::int64_t unit, Direction direction) {
  std::vector<std::size_t> missing;
  want(unit, missing);
  want(direction == Direction::forward ? unit + 1 : unit - 1, missing);
  return missing;
}

std::vector<std::int64_t> gathers_of_step(const TransientPlan& plan, std::int64_t micro_batches) {
  std::vector<std::int64_t> times(plan.groups.size());
  SlotSchedule schedule(plan);
  const std::int64_t units = std::ssize(plan.of_unit);
  const auto count = [&](std::int64_t unit, Direction direction) {
    for (const std::size_t group : schedule.enter(unit, direction)) ++times[group];
  };
  for (std::int64_t micro = 0; micro < micro_batches; ++micro) {
    for (std::int64_t unit = 0; unit < units; ++unit) count(unit, Direction::forward);
    for (std::int64_t unit = units; unit-- > 0;) count(unit, Direction::backward);
  }
  return times;
}

}  // namespace granule
