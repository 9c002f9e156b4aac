// What the machine can do, measured now: the yardsticks that benchmarks and utilisation figures are held to.
#pragma once
#include "core/dtype.hpp"
#include "core/parallel.hpp"

namespace granule {

/// Fused multiply-adds in registers, on all threads of the pool: 10⁹ floating-point operations a second (two
/// an addition and multiplication). f32 or f64. Takes about `seconds`.
[[nodiscard]] double fma_ceiling_gflops(ThreadPool& pool, DType dtype, double seconds = 0.1);

/// Reading and writing the same large array, as an optimizer step does: 10⁹ bytes a second, both directions
/// counted.
[[nodiscard]] double stream_gbps(ThreadPool& pool, double seconds = 0.2);

}  // namespace granule
