// What `granule bench gemm` and `granule bench ops` measure: named pieces of work, each with the operations
// and bytes it cannot do without, timed and held to the machine's own rates of the same run.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"
#include "core/context.hpp"

namespace granule {

struct BenchPiece {
  std::string name;
  double flops = 0.0;
  double bytes = 0.0;           ///< read and written once each
  std::function<double()> run;  ///< does the work once, returns its seconds
};

/// {fma_ceiling_gflops, stream_gbps, threads, results: [{name, seconds (median), gflops, gbps,
/// share_of_floor}]}: the floor of a piece is the longer of its operations at the ceiling and its bytes at
/// the streaming rate. Bytes that stay in a cache can beat it.
[[nodiscard]] nlohmann::ordered_json measure_pieces(Context& context, DType dtype,
                                                    const std::vector<BenchPiece>& pieces,
                                                    std::int64_t repeats);

/// The matrix products of a step: every layer's, forward and both gradients, at the config's sizes.
[[nodiscard]] std::vector<BenchPiece> gemm_pieces(Context& context, const RunConfig& config);
/// The operators of a step, forward and backward, at the config's sizes.
[[nodiscard]] std::vector<BenchPiece> operator_pieces(Context& context, const RunConfig& config);

}  // namespace granule
