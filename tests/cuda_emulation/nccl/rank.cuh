// A rank of a test of the fake NCCL: a process with a communicator, a stream for computation and one for
// communication.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <nccl.h>

#include "tests/cuda_emulation/nccl/processes.hpp"
#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"

namespace cuda_emulation {

/// Under so many orders of what streams and ranks do, a mistake must show at least once.
inline constexpr int kSeeds = 20;

inline void must(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

/// A rank with a stream for computation and one for communication.
struct Rank {
  Rank(const ncclUniqueId& id, int rank, int size, std::uint64_t seed, bool blocking = false) {
    settings().seed = seed * 16 + static_cast<std::uint64_t>(rank);
    GRANULE_GPU_CHECK(cudaSetDevice(rank));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking ? 1 : 0;
    ncclCommInitRankConfig(&comm, size, id, rank, &config);
    state = finish(comm);
  }
  ~Rank() {
    if (comm == nullptr || std::uncaught_exceptions() > 0) return;
    ncclCommFinalize(comm);
    finish(comm);
    ncclCommDestroy(comm);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;
  static ncclResult_t finish(ncclComm_t of) {
    ncclResult_t now = ncclInProgress;
    while (now == ncclInProgress) ncclCommGetAsyncError(of, &now);
    return now;
  }
  void sum(float* data, std::size_t n) {
    ncclAllReduce(data, data, n, ncclFloat32, ncclSum, comm, communication);
    finish(comm);
  }
  static void put_after(cudaStream_t second, cudaStream_t first) {
    cudaEvent_t event = nullptr;
    GRANULE_GPU_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    GRANULE_GPU_CHECK(cudaEventRecord(event, first));
    GRANULE_GPU_CHECK(cudaStreamWaitEvent(second, event, 0));
    GRANULE_GPU_CHECK(cudaEventDestroy(event));
  }

  ncclComm_t comm = nullptr;
  ncclResult_t state = ncclSuccess;
  Stream computation, communication;
};

/// What the ranks throw.
template <class Body>
std::vector<std::string> on_ranks(int n, std::uint64_t seed, const Body& body,
                                  std::chrono::seconds patience = kPatience) {
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  const auto rank_of = [&](int number) {
    Rank rank(id, number, n, seed);
    must(rank.state == ncclSuccess, "no communicator");
    body(rank, number);
  };
  return in_processes(n, rank_of, patience);
}

template <class Body>
void require_right(int n, std::uint64_t seed, const Body& body) {
  for (const std::string& said : on_ranks(n, seed, body)) REQUIRE(said == "");
}

/// Whether some rank throws under some seed.
template <class Body>
bool is_found(int n, const Body& body) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const auto said = on_ranks(n, seed, body);
    if (std::ranges::any_of(said, [](const std::string& one) { return !one.empty(); })) return true;
  }
  return false;
}

}  // namespace cuda_emulation
