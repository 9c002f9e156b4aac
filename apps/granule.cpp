#include <malloc.h>

#include "apps/cli.hpp"

namespace {

/// oneDNN allocates and frees its packing buffers in every product. By default the C library gives such
/// blocks back to the system. Then a step spends a quarter of its time on page faults for the same memory.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  return granule::run_cli(argc, argv);
}
