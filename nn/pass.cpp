#include "nn/pass.hpp"

#include <vector>

#include "core/transfer.hpp"

namespace granule {

UnitScope::UnitScope(const Pass& pass, std::int64_t unit) : observer_(pass.units), unit_(unit) {
  if (observer_ == nullptr) return;
  observer_->enter(unit_, Direction::forward);
  mark_for_backward(&UnitObserver::leave);
}

UnitScope::~UnitScope() {
  if (observer_ == nullptr) return;
  observer_->leave(unit_, Direction::forward);
  mark_for_backward(&UnitObserver::enter);
}

void UnitScope::mark_for_backward(void (UnitObserver::*what)(std::int64_t, Direction)) const {
  if (Tape* const tape = current_tape(); tape != nullptr) {
    tape->mark([observer = observer_, unit = unit_, what] { (observer->*what)(unit, Direction::backward); });
  }
}

Tensor make_positions(Context& context, std::int64_t batch, std::int64_t seq, std::int64_t first) {
  Tensor positions = Tensor::empty(context, {batch * seq}, DType::i32);
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(batch * seq));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<std::int32_t>(first + static_cast<std::int64_t>(i) % seq);
  write<std::int32_t>(numbers, positions);
  return positions;
}

}  // namespace granule
