// How long work is left early: whoever starts it says how to find out that it shall end, and its loops ask.
#pragma once
#include <functional>

namespace granule {

/// Leaves work that a signal ends. It is no Error: nothing is wrong, and who looks for damage must not see
/// any.
struct Interrupted {
  int signal;
};

/// While it lives, interruption_point() leaves what this thread does as soon as `signal` names one (not 0).
class Interruptible {
 public:
  explicit Interruptible(std::function<int()> signal);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  std::function<int()> signal_;
};

/// Called by loops that read much, once in some megabytes. Throws Interrupted where the thread's work may be
/// left and shall be; does nothing elsewhere.
void interruption_point();

}  // namespace granule
