#include "tests/cuda_emulation/kernels/races.hpp"

#include <utility>

#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
namespace {

int found = 0;
constexpr int kFailure = 66;  // ThreadSanitizer's own

struct AtTheEnd {
  ~AtTheEnd() {
    if (found > 0) _exit(kFailure);
  }
} at_the_end;

}  // namespace

// ThreadSanitizer calls these if a program has them.
extern "C" void __tsan_on_report(void* /*report*/) {
  ++found;
}
extern "C" const char* __tsan_default_options() {
  // Kernels have their shared memory at the same addresses, one after the other.
  return "suppress_equal_addresses=0:exitcode=0";
}

std::optional<int> cuda_emulation::take_races() {
  return std::exchange(found, 0);
}
#else
std::optional<int> cuda_emulation::take_races() {
  return std::nullopt;
}
#endif
