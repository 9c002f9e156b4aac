// `granule bench step`: whole training steps compared with the least time that this machine could take for
// them.
#pragma once
#include <optional>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"
#include "distributed/communicators/communicator.hpp"
#include "moe/routing/forced_routing.hpp"

namespace granule {

struct BenchOptions {
  int threads = 1;
  std::int64_t steps = 7;  ///< how many steps are measured; one more step runs before them
  Routing routing = Routing::natural;
  int gpu = 0;                          ///< of this rank, if the config wants one
  std::optional<double> stated_peak{};  ///< of a GPU, in operations a second
};

/// The least seconds of a step. They are the sum of two parts:
///   - the operations of every matrix product and of causal attention, at the machine's multiply-add ceiling;
///     backward counts twice
///   - AdamW's 28 bytes for each parameter (56 in f64), at the machine's streaming rate
struct StepFloor {
  double flops = 0.0, optimizer_bytes = 0.0;
  [[nodiscard]] double seconds(double gflops, double gbps) const {
    return flops / (gflops * 1e9) + optimizer_bytes / (gbps * 1e9);
  }
};
[[nodiscard]] StepFloor step_floor(const RunConfig& config);

///   {tokens_per_second, step_seconds (median), fma_ceiling_gflops, stream_gbps, floor_seconds,
///    share_of_floor, mfu, threads, ranks, routing, peak_bytes, seconds_by_phase,
///    sustained_gflops, share_of_sustained}
/// The last two, only on the CPU, compare with the mean rate between steps. No step can keep up the best
/// rate, if others use the cores at times. The tokens are random. With several ranks, fma_ceiling_gflops and
/// stream_gbps are sums over the ranks, and peak_bytes is the largest of any rank. threads and
/// seconds_by_phase are those of this rank.
[[nodiscard]] nlohmann::ordered_json bench_step(Communicator& ranks, const RunConfig& config,
                                                const BenchOptions& options);

}  // namespace granule
