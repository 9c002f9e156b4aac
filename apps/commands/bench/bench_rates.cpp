#include "apps/commands/bench/bench_rates.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/kernels/ceiling.hpp"

namespace granule {
namespace {

double median_seconds(const BenchPiece& piece, std::int64_t repeats) {
  piece.run();  // the first run touches its memory
  std::vector<double> seconds;
  for (std::int64_t i = 0; i < repeats; ++i) seconds.push_back(piece.run());
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace

MachineRates measure_rates(Context& context, DType dtype) {
  return {fma_ceiling_gflops(context.pool(), dtype), stream_gbps(context.pool())};
}

MachineRates better_of(const MachineRates& before, const MachineRates& after) {
  return {std::max(before.gflops, after.gflops), std::max(before.gbps, after.gbps)};
}

nlohmann::ordered_json measure_pieces(Context& context, DType dtype, const std::vector<BenchPiece>& pieces,
                                      std::int64_t repeats) {
  const MachineRates before = measure_rates(context, dtype);
  std::vector<double> typical;
  for (const BenchPiece& piece : pieces) typical.push_back(median_seconds(piece, repeats));
  const auto [gflops, gbps] = better_of(before, measure_rates(context, dtype));
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const BenchPiece& piece = pieces[i];
    const double floor = std::max(piece.flops / (gflops * 1e9), piece.bytes / (gbps * 1e9));
    results.push_back({{"name", piece.name},
                       {"seconds", typical[i]},
                       {"gflops", piece.flops / typical[i] / 1e9},
                       {"gbps", piece.bytes / typical[i] / 1e9},
                       {"share_of_floor", floor / typical[i]}});
  }
  return {{"fma_ceiling_gflops", gflops},
          {"stream_gbps", gbps},
          {"threads", context.pool().size()},
          {"results", results}};
}

}  // namespace granule
