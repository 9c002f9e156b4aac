// How long work is left early. The caller who starts it says how to find out that it must end, and the loops
// of the work ask.
#pragma once
#include <functional>

namespace granule {

/// Leaves work that a signal ends. It is not an Error, because nothing is wrong: code that looks for damage
/// must not see any.
struct Interrupted {
  int signal;
};

/// While it lives, interruption_point() leaves what this thread does as soon as `signal` returns a signal
/// (not 0).
class Interruptible {
 public:
  explicit Interruptible(std::function<int()> signal);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  std::function<int()> signal_;
};

/// Loops that read much data call it once in some megabytes. It throws Interrupted if the thread's work may
/// be left and must end; otherwise it does nothing.
void interruption_point();

}  // namespace granule
