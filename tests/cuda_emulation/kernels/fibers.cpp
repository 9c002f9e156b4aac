#include "tests/cuda_emulation/kernels/fibers.hpp"

#include <cstdint>
#include <new>
#include <vector>

#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

// Saves the registers that a call must keep, and the stack pointer, and continues on the other stack.
extern "C" void cuda_emulation_switch(void** save, void* load);
#if defined(__x86_64__)
asm(R"(
.text
.globl cuda_emulation_switch
.type cuda_emulation_switch,@function
cuda_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_emulation_switch,.-cuda_emulation_switch
)");
#else
#error "the emulator of CUDA knows how to switch stacks on x86-64 only"
#endif

namespace cuda_emulation {

struct Fiber {
  void* stack_pointer = nullptr;
  std::byte* stack = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
  void* identity = nullptr;    // ThreadSanitizer's
};

namespace {

constexpr std::size_t kPage = 4096, kStack = 256 * 1024;
constexpr std::size_t kIdentities = 4096;  // each takes ThreadSanitizer most of a millisecond

FiberBody body = nullptr;
void* scheduler_stack_pointer = nullptr;
Fiber* running = nullptr;
std::vector<Fiber*> idle;
// It is never destroyed, so that LeakSanitizer finds the fibers in it at the end.
std::vector<Fiber*>& all = *new std::vector<Fiber*>;
std::size_t next_identity = 0;
#if defined(__SANITIZE_ADDRESS__)
void* scheduler_fake_stack = nullptr;
const void* scheduler_stack = nullptr;
std::size_t scheduler_stack_size = 0;
#endif
#if defined(__SANITIZE_THREAD__)
void* scheduler_identity = nullptr;
#endif

void run_fiber() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
#endif
  for (;;) {
    body();
    if (!one_thread_per_fiber()) idle.push_back(running);
    pause();
  }
}

Fiber* make_fiber() {
  auto* const fiber = new Fiber;
  all.push_back(fiber);
  void* const memory = mmap(nullptr, kStack + kPage, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  fiber->stack = static_cast<std::byte*>(memory) + kPage;
  mprotect(memory, kPage, PROT_NONE);
  constexpr std::size_t kTop = kStack - 64;
  auto* top = reinterpret_cast<std::uintptr_t*>(fiber->stack + kTop);
  *--top = 0;  // a return address that nobody uses; it aligns the stack as after a call
  *--top = reinterpret_cast<std::uintptr_t>(&run_fiber);
  for (int saved = 0; saved < 6; ++saved) *--top = 0;
  fiber->stack_pointer = top;
#if defined(__SANITIZE_THREAD__)
  fiber->identity = __tsan_create_fiber(0);
#endif
  return fiber;
}

}  // namespace

void set_fiber_body(FiberBody what) {
  body = what;
}

bool one_thread_per_fiber() {
#if defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

void begin_launch() {
  next_identity = 0;
}

Fiber* take_fiber() {
  if (one_thread_per_fiber()) {
    if (next_identity == kIdentities) next_identity = 0;
    if (next_identity == all.size()) make_fiber();
    return all[next_identity++];
  }
  if (idle.empty()) return make_fiber();
  Fiber* const fiber = idle.back();
  idle.pop_back();
  return fiber;
}

Fiber* current_fiber() {
  return running;
}

void resume(Fiber* fiber) {
  running = fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&scheduler_fake_stack, fiber->stack, kStack);
#endif
#if defined(__SANITIZE_THREAD__)
  scheduler_identity = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fiber->identity, 1);
#endif
  cuda_emulation_switch(&scheduler_stack_pointer, fiber->stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
  running = nullptr;
}

void pause() {
  Fiber* const fiber = running;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fiber->fake_stack, scheduler_stack, scheduler_stack_size);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(scheduler_identity, 1);
#endif
  cuda_emulation_switch(&fiber->stack_pointer, scheduler_stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber->fake_stack, nullptr, nullptr);
#endif
}

#if defined(__SANITIZE_THREAD__)
void publish(void* point) {
  __tsan_release(point);
}
void observe(void* point) {
  __tsan_acquire(point);
}
Unwatched::Unwatched() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
Unwatched::~Unwatched() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
void publish(void* /*point*/) {}
void observe(void* /*point*/) {}
Unwatched::Unwatched() = default;
Unwatched::~Unwatched() = default;  // NOLINT(performance-trivially-destructible)
#endif

}  // namespace cuda_emulation
