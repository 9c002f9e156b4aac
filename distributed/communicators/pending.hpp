// A collective that has started. Its buffers belong to it until wait() has returned or poll() has returned
// true.
#pragma once
#include <memory>

namespace granule {

/// What a communicator keeps of a started collective.
class Operation {
 public:
  Operation() = default;
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  /// Advances it without blocking. Returns true if it has ended, and throws if the job has failed.
  [[nodiscard]] virtual bool poll() = 0;
  /// Returns when it has ended. Throws if the job has failed.
  virtual void wait() = 0;
};

/// The handle of a started collective. It is moved, never copied. Several may be under way, and they may be
/// waited for in any order. If one is destroyed before it is done, the destructor waits for it, because
/// others still read its buffers. If that fails, the next call on the communicator throws. Values on the host
/// may be read after wait(). After wait(), operators on the tensor's own context may use it: a device orders
/// them after the collective and does not block the host.
class Pending {
 public:
  Pending() = default;  ///< of a collective that has ended
  explicit Pending(std::unique_ptr<Operation> operation) : operation_(std::move(operation)) {}
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&& other) noexcept;
  ~Pending() { finish(); }

  /// True if it has ended. A rank that computes meanwhile should call it now and then, so that messages move.
  [[nodiscard]] bool poll();
  void wait();

 private:
  void finish() noexcept;

  std::unique_ptr<Operation> operation_;
};

}  // namespace granule
