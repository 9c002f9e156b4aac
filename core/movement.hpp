// How long work reports that it makes progress. Code that reads data or builds something notes every piece.
// A watchdog, or a thread that waits, listens on that thread.
#pragma once
#include <functional>

namespace granule {

/// A piece of work on this thread is done. The call costs next to nothing, and without a listener it does
/// nothing.
void note_movement();

/// Is called for every note of the thread that made it, as long as it lives. Of several listeners the
/// newest is called first.
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
