// Fibers: stacks that take turns on one thread of the system. Each emulated thread of CUDA runs on one. A
// switch happens only where code asks for it, so everything repeats.
#pragma once
#include <cstddef>

namespace cuda_emulation {

struct Fiber;

/// What a fiber runs, again and again. It returns when there is nothing more to run at once.
using FiberBody = void (*)();
void set_fiber_body(FiberBody body);

/// An idle fiber or a new one. They are kept for the rest of the process.
[[nodiscard]] Fiber* take_fiber();
/// The scheduler calls it. It returns when the fiber pauses or its body has returned.
void resume(Fiber* fiber);
/// A fiber calls it, and goes on when it is resumed.
void pause();
[[nodiscard]] Fiber* current_fiber();
/// Under ThreadSanitizer a fiber is an identity, which must not run two threads of one launch. So then a body
/// runs one thread alone, and identities are used again only by later launches.
[[nodiscard]] bool one_thread_per_fiber();
void begin_launch();

/// A point in the order of accesses, for ThreadSanitizer.
void publish(void* point);
void observe(void* point);

/// Accesses of the emulator itself in this scope are none of the program's.
class Unwatched {
 public:
  Unwatched();
  ~Unwatched();
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};

}  // namespace cuda_emulation
