// `granule bench ceiling`: the machine's own rates, in a form that can be checked.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace granule {

///   {threads, instruction_set, clock_ghz,
///    f32, f64, and bf16 if there are units for it: {lanes, gflops_by_chains: {"1": …}, fma_ceiling_gflops, sustained_gflops,
///    fmas_per_cycle}, stream_gbps, read_gbps}
/// The rates are those of all threads together. The sustained one is the mean over the measurement, and the
/// others are those of its best moment. `fmas_per_cycle` counts vectors for each thread. It exceeds
/// the number of a core's multiply-add units only by as much as the clock changes between two measurements.
/// Each measurement takes `seconds`, and at least eight passes over an array.
[[nodiscard]] nlohmann::ordered_json bench_ceiling(int threads, double seconds);

}  // namespace granule
