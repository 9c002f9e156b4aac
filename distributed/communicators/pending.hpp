// A collective under way. Buffers given to it belong to it until wait() has returned or poll() said true.
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
  /// Drives it on without blocking; true when it has ended. Throws when the job has failed.
  [[nodiscard]] virtual bool poll() = 0;
  /// Returns when it has ended. Throws when the job has failed.
  virtual void wait() = 0;
};

/// The handle of a started collective: moved, never copied. Several may be in flight and may be waited for in
/// any order. Destroying one that is not done waits for it, since others still read its buffers; a failure
/// that this meets is thrown by the next call on the communicator. Values on the host may be read after
/// wait(). A tensor may be used after wait() by operators on its own context: on a device that orders them
/// behind the collective and does not block the host.
class Pending {
 public:
  Pending() = default;  ///< of a collective that has ended
  explicit Pending(std::unique_ptr<Operation> operation) : operation_(std::move(operation)) {}
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&& other) noexcept;
  ~Pending() { finish(); }

  /// True when it has ended; a rank that computes meanwhile calls it now and then to keep it moving.
  [[nodiscard]] bool poll();
  void wait();

 private:
  void finish() noexcept;

  std::unique_ptr<Operation> operation_;
};

}  // namespace granule
