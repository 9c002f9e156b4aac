#include "apps/commands/bench/bench_rates.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/kernels/ceiling.hpp"

namespace granule {

nlohmann::ordered_json measure_pieces(Context& context, DType dtype, const std::vector<BenchPiece>& pieces,
                                      std::int64_t repeats) {
  const double gflops = fma_ceiling_gflops(context.pool(), dtype), gbps = stream_gbps(context.pool());
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const BenchPiece& piece : pieces) {
    piece.run();  // the first run touches its memory
    std::vector<double> seconds;
    for (std::int64_t i = 0; i < repeats; ++i) seconds.push_back(piece.run());
    std::sort(seconds.begin(), seconds.end());
    const double typical = seconds[seconds.size() / 2];
    const double floor = std::max(piece.flops / (gflops * 1e9), piece.bytes / (gbps * 1e9));
    results.push_back({{"name", piece.name},
                       {"seconds", typical},
                       {"gflops", piece.flops / typical / 1e9},
                       {"gbps", piece.bytes / typical / 1e9},
                       {"share_of_floor", floor / typical}});
  }
  return {{"fma_ceiling_gflops", gflops},
          {"stream_gbps", gbps},
          {"threads", context.pool().size()},
          {"results", results}};
}

}  // namespace granule
