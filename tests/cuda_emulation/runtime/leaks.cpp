// What the process has made on the emulated machine and not given back. If something is left when the process
// ends in peace, it ends with 1 and a line instead.
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "tests/cuda_emulation/emulation.hpp"

namespace cuda_emulation {
namespace {

// Objects that were made before the first stream, as a static Context, have been destroyed when this is
// called.
void look_for_leaks(int exit_code, void* /*unused*/) {
  const Live& left = live();
  if (exit_code != EXIT_SUCCESS || left == Live{}) return;
  std::fprintf(stderr,
               "emulated CUDA: the process ends, and these were not given back: %zu streams, %zu events, %zu "
               "allocations of %zu bytes, %zu of pinned memory\n",
               left.streams, left.events, left.allocations, left.bytes, left.pinned);
  std::fflush(nullptr);
  _exit(EXIT_FAILURE);
}

}  // namespace

Live& live() {
  static Live all;
  static const int registered = on_exit(look_for_leaks, nullptr);
  static_cast<void>(registered);
  return all;
}

}  // namespace cuda_emulation
