// What goes on beside the work of a thread, and only while that thread lets it: messages between ranks, and
// collectives on a device. Whoever waits for anything waits here, so that nothing of this stands still.
#pragma once
#include <functional>

namespace granule {

/// Belongs to the thread that makes it, from its construction to its destruction.
class Background {
 public:
  Background();
  virtual ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Goes on as far as it can without waiting. Throws if it has failed.
  virtual void advance() = 0;
  /// Is also called in a wait that has become long, less often.
  virtual void advance_in_long_wait() {}
  /// False while the host must not yet act on what a device has computed.
  [[nodiscard]] virtual bool settled() const { return true; }
};

/// Whether this thread has any.
[[nodiscard]] bool has_background();
/// Returns when done() is true. Advances everything in the background of this thread meanwhile, and throws
/// what it throws. It yields for 5 ms, and then looks only every 50 µs.
void wait_until(const std::function<bool()>& done);
/// Returns when everything in the background of this thread is settled.
void settle_background();

}  // namespace granule
