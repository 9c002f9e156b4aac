// How long work tells that it goes on: whoever reads data or builds something notes every piece, and whoever
// has to know (a watchdog, a thread that waits) listens on that thread.
#pragma once
#include <functional>

namespace granule {

/// A piece of work on this thread is done. Costs next to nothing; without a listener nothing happens.
void note_movement();

/// Called at every note of the thread that made it, as long as it lives; the newest one hears.
class MovementListener {
 public:
  explicit MovementListener(std::function<void()> hear);
  ~MovementListener();
  MovementListener(const MovementListener&) = delete;
  MovementListener& operator=(const MovementListener&) = delete;

 private:
  friend void note_movement();
  std::function<void()> hear_;
  MovementListener* outer_;
};

}  // namespace granule
