#include "core/movement.hpp"

#include <utility>

namespace granule {
namespace {

thread_local MovementListener* newest = nullptr;

}  // namespace

void note_movement() {
  for (const MovementListener* one = newest; one != nullptr; one = one->outer_) one->hear_();
}

MovementListener::MovementListener(std::function<void()> hear)
    : hear_(std::move(hear)), outer_(std::exchange(newest, this)) {}

MovementListener::~MovementListener() {
  newest = outer_;
}

}  // namespace granule
