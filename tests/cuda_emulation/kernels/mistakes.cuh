// How tests find out whether the emulator sees the mistake of a kernel. It throws and says where, or the
// result is wrong under at least one schedule.
#pragma once
#include <numeric>
#include <string>
#include <vector>

#include "tests/cuda_emulation/kernels/races.hpp"
#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"

namespace cuda_emulation {

using Kernel = void (*)(int*);

/// What the emulator says of a kernel with a block of 64 threads, under every schedule.
inline void must_be_reported(Kernel kernel, const std::string& words) {
  under_schedules([&] {
    const Stream stream;
    const Buffer<int> y(stream, std::vector<int>(128, 0));
    granule::gpu::launch(stream, kernel, {1, 1, 64}, y.data());
    CHECK_THROWS_WITH(stream.wait(), Catch::Contains(words));
  });
}

/// Whether the result differs from the right one under at least one schedule.
inline bool shows_in_the_result(Kernel kernel, unsigned threads, const std::vector<int>& right,
                                unsigned blocks = 1) {
  bool shown = false;
  under_schedules([&] {
    const Stream stream;
    const Buffer<int> y(stream, std::vector<int>(right.size(), 0));
    granule::gpu::launch(stream, kernel, {blocks, 1, threads}, y.data());
    shown = shown || y.values(stream) != right;
  });
  return shown;
}

/// The same, and to ThreadSanitizer it is a data race.
inline bool shows_as_race(Kernel kernel, unsigned threads, const std::vector<int>& right,
                          unsigned blocks = 1) {
  const bool shown = shows_in_the_result(kernel, threads, right, blocks);
  const std::optional<int> races = take_races();
  CHECK((!races || *races > 0));
  return shown;
}

/// n − 1, …, 1, 0: what a block of n threads computes that turns its numbers around in shared memory.
inline std::vector<int> falling(int n) {
  std::vector<int> values(static_cast<std::size_t>(n));
  std::iota(values.rbegin(), values.rend(), 0);
  return values;
}

}  // namespace cuda_emulation
