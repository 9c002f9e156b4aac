// What NVIDIA's opaque handles of streams and events point to.
#pragma once
#include <chrono>
#include <deque>

#include "tests/cuda_emulation/emulation.hpp"

struct CUstream_st {
  int number = 0;  // in the order in which the process has made its streams
  std::deque<cuda_emulation::Work> work;
};
struct CUevent_st {
  struct State {
    std::uint64_t done = 0;  // the number of the last record that was reached
    std::chrono::steady_clock::time_point when;
  };
  std::uint64_t number = 0;  // in the order in which the process has made its events
  std::uint64_t recorded = 0;
  std::shared_ptr<State> state = std::make_shared<State>();
};

namespace cuda_emulation {

/// A process that was forked chooses a device of its own.
void forget_device();
[[nodiscard]] CUstream_st* make_stream();
void destroy_stream(CUstream_st* stream);
[[nodiscard]] bool is_idle(cudaStream_t stream);
void wait_for(const CUevent_st& event);

}  // namespace cuda_emulation
