// What the machine can do, measured now. Benchmarks and utilisation figures are compared with it. `granule
// bench ceiling` shows the ceilings, so that they can be compared with the clock and with other programs.
#pragma once
#include <array>
#include <span>
#include <utility>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/kernels/bf16_support.hpp"
#include "core/parallel.hpp"

namespace granule {

/// How many chains of multiply-adds can be measured. Each multiply-add of a chain waits for the one before
/// it, and chains do not wait for each other. Twelve are more than latency × units of any CPU that we know.
inline constexpr std::array<std::int64_t, 5> kFmaChains{1, 2, 4, 8, 12};

/// Calls work<N>() for a number of chains that is known to the compiler, so that all N chains stay in
/// registers. The number is one of kFmaChains.
template <class Work>
void with_chains(std::int64_t chains, const Work& work) {
  const auto called = [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    return ((chains == kFmaChains[kIndex] && (work.template operator()<kFmaChains[kIndex]>(), true)) || ...);
  }
  (std::make_index_sequence<kFmaChains.size()>());
  GRANULE_ASSERT(called, "a number of chains that is not compiled");
}

/// Work a second. Noise only ever slows a piece of work down, so the best piece is what the machine can do.
/// All pieces together show what it gives over a longer time, beside what else its cores and its host do.
struct RateOfPieces {
  double best = 0.0, mean = 0.0;
};

/// Fused multiply-adds in registers, on all threads of the pool. The unit is 10⁹ floating-point operations a
/// second, two for each multiply-add. For bf16 they are those of the processor's bf16 units, or those of f32
/// if it has none or they are not used. It takes about `seconds`.
[[nodiscard]] double fma_ceiling_gflops(ThreadPool& pool, DType dtype, double seconds = 0.1);

/// Operations a second with the given number of chains, one of kFmaChains. With few chains the unit waits for
/// results.
[[nodiscard]] RateOfPieces fma_rate(ThreadPool& pool, DType dtype, std::int64_t chains, double seconds);

/// The work that `fma_rate` times, of one thread. It computes v = v · factor + term `rounds` times for each
/// of `values` [chains × vector_lanes], and returns the number of floating-point operations.
template <class T>
double multiply_add_chains(std::int64_t rounds, std::int64_t chains, T factor, T term, std::span<T> values);

/// The same of bf16: value + products · factor · term for each of `values` [chains × sums], see bf16_chain().
/// `units` are vectors or tiles, and has_bf16_units(units). Tiles compute at most four chains at once.
double bf16_chains(Bf16Units units, std::int64_t rounds, std::int64_t chains, bf16 factor, bf16 term,
                   std::span<float> values);

/// Elements of one vector register of the instruction set in use. For bf16 that is the number of products
/// that an instruction of bf16_units() sums.
[[nodiscard]] std::int64_t vector_lanes(DType dtype);

/// The clock while all threads of the pool work, in 10⁹ cycles a second. It is measured by dependent
/// additions of a thread, which take one cycle each.
[[nodiscard]] double clock_ghz(ThreadPool& pool, double seconds = 0.1);

/// Reading and writing the same large array, as an optimizer step does, in 10⁹ bytes a second. Both
/// directions count.
[[nodiscard]] double stream_gbps(ThreadPool& pool, double seconds = 0.2);

/// Only reading a large array, as a generated token does with the weights, in 10⁹ bytes a second.
[[nodiscard]] double read_gbps(ThreadPool& pool, double seconds = 0.2);

}  // namespace granule
