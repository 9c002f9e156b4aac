// The device side of CUDA's language for g++: built-in variables, barriers, warp collectives, shared memory
// and launches. NVIDIA's own headers supply the types and the prototypes of the host. The compiler includes
// this header before a .cu file, so the file itself does not change.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

namespace cuda_emulation {

using Location = std::source_location;

/// One emulated thread.
struct Thread {
  uint3 index;
  unsigned lane, warp, number;
};
[[nodiscard]] const Thread& this_thread();
[[nodiscard]] const uint3& this_block();

enum class Collective : std::uint8_t { sync, shuffle, shuffle_xor, shuffle_down, shuffle_up, vote, match };
enum class Vote : std::uint8_t { count, all, any };

void block_barrier(const Location& where);
[[nodiscard]] int block_vote(int predicate, Vote vote, const Location& where);
/// All lanes of the mask meet. Returns the 32 values that they brought.
const std::uint64_t* meet(unsigned mask, std::uint64_t value, Collective kind, const Location& where);
void memory_fence();
[[noreturn]] void forbidden(const char* what);

/// What is accessed several elements at once lies where that is allowed.
void require_aligned(const void* data, std::size_t bytes_at_once);

struct SharedVariable {
  std::size_t bytes, alignment;
  int number = -1;
};
/// Each block has its own, which begins as NaN.
[[nodiscard]] void* shared_variable(SharedVariable& variable);
[[nodiscard]] void* dynamic_shared_memory();

/// A launch that waits for its turn on a stream. The arguments were copied.
struct Launch {
  std::function<void()> call;         // the kernel, for one thread
  std::vector<const void*> pointers;  // among the arguments
  const void* kernel;
};
cudaError_t enqueue(const cudaLaunchConfig_t& config, Launch launch);

template <class... Parameters, class... Arguments>
cudaError_t launch_kernel(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                          Arguments&&... arguments) {
  Launch launch;
  const std::tuple<Parameters...> all(std::forward<Arguments>(arguments)...);
  const auto note = [&]<class T>(const T& argument) {
    if constexpr (std::is_pointer_v<T>) launch.pointers.push_back(argument);
  };
  std::apply([&](const auto&... argument) { (note(argument), ...); }, all);
  launch.call = [kernel, all] { std::apply(kernel, all); };
  launch.kernel = reinterpret_cast<const void*>(kernel);
  return enqueue(*config, std::move(launch));
}

template <class T>
std::uint64_t bits_of(T value) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T value_of(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// The value of a lane outside the mask is undefined on a GPU. Here it is NaN or −1.
template <class T>
T from_lane(unsigned mask, T value, unsigned lane, Collective kind, const Location& where) {
  const std::uint64_t* const values = meet(mask, bits_of(value), kind, where);
  return value_of<T>(((mask >> lane) & 1U) != 0 ? values[lane] : ~std::uint64_t{0});
}

}  // namespace cuda_emulation

extern dim3 gridDim, blockDim;  // of the launch that runs
#define threadIdx (::cuda_emulation::this_thread().index)
#define blockIdx (::cuda_emulation::this_block())
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ static_assert(false, "shared memory is declared by GRANULE_SHARED");
#define GRANULE_SHARED(type, name)                                                    \
  static ::cuda_emulation::SharedVariable name##_shared{sizeof(type), alignof(type)}; \
  auto& name = *static_cast<std::type_identity_t<type>*>(::cuda_emulation::shared_variable(name##_shared))
#define GRANULE_DYNAMIC_SHARED(type, name) \
  auto* const name = static_cast<type*>(::cuda_emulation::dynamic_shared_memory())
#define GRANULE_REQUIRE_ALIGNED(data, bytes) ::cuda_emulation::require_aligned(data, bytes)
#define cudaLaunchKernelEx ::cuda_emulation::launch_kernel

#define EMULATED_WHERE const cuda_emulation::Location& where = cuda_emulation::Location::current()
inline void __syncthreads(EMULATED_WHERE) {
  cuda_emulation::block_barrier(where);
}
inline int __syncthreads_count(int predicate, EMULATED_WHERE) {
  return cuda_emulation::block_vote(predicate, cuda_emulation::Vote::count, where);
}
inline int __syncthreads_and(int predicate, EMULATED_WHERE) {
  return cuda_emulation::block_vote(predicate, cuda_emulation::Vote::all, where);
}
inline int __syncthreads_or(int predicate, EMULATED_WHERE) {
  return cuda_emulation::block_vote(predicate, cuda_emulation::Vote::any, where);
}
inline void __syncwarp(unsigned mask = 0xffffffffU, EMULATED_WHERE) {
  cuda_emulation::meet(mask, 0, cuda_emulation::Collective::sync, where);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATED_WHERE) {
  const unsigned first = cuda_emulation::this_thread().lane & ~unsigned(width - 1);
  const unsigned lane = first + (unsigned(source) & unsigned(width - 1));
  return cuda_emulation::from_lane(mask, value, lane, cuda_emulation::Collective::shuffle, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int change, int width = 32, EMULATED_WHERE) {
  const unsigned mine = cuda_emulation::this_thread().lane, other = mine ^ unsigned(change);
  const unsigned end = (mine & ~unsigned(width - 1)) + unsigned(width);
  return cuda_emulation::from_lane(mask, value, other < end ? other : mine,
                                   cuda_emulation::Collective::shuffle_xor, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, EMULATED_WHERE) {
  const unsigned mine = cuda_emulation::this_thread().lane, other = mine + distance;
  const unsigned end = (mine & ~unsigned(width - 1)) + unsigned(width);
  return cuda_emulation::from_lane(mask, value, other < end ? other : mine,
                                   cuda_emulation::Collective::shuffle_down, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, EMULATED_WHERE) {
  const unsigned mine = cuda_emulation::this_thread().lane, first = mine & ~unsigned(width - 1);
  return cuda_emulation::from_lane(mask, value, mine >= first + distance ? mine - distance : mine,
                                   cuda_emulation::Collective::shuffle_up, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATED_WHERE) {
  const auto* const values =
      cuda_emulation::meet(mask, predicate != 0 ? 1 : 0, cuda_emulation::Collective::vote, where);
  unsigned lanes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (((mask >> lane) & 1U) != 0) lanes |= unsigned(values[lane]) << lane;
  }
  return lanes;
}
inline int __any_sync(unsigned mask, int predicate, EMULATED_WHERE) {
  return __ballot_sync(mask, predicate, where) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, EMULATED_WHERE) {
  return __ballot_sync(mask, predicate, where) == mask ? 1 : 0;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, EMULATED_WHERE) {
  const std::uint64_t mine = cuda_emulation::bits_of(value);
  const auto* const values = cuda_emulation::meet(mask, mine, cuda_emulation::Collective::match, where);
  unsigned lanes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (((mask >> lane) & 1U) != 0 && values[lane] == mine) lanes |= 1U << lane;
  }
  return lanes;
}
#undef EMULATED_WHERE
inline unsigned __activemask() {
  cuda_emulation::forbidden("__activemask depends on the schedule: masks are stated");
}
inline void __threadfence() {
  cuda_emulation::memory_fence();
}
inline void __threadfence_system() {
  cuda_emulation::memory_fence();
}

#include "tests/cuda_emulation/kernels/intrinsics.hpp"
