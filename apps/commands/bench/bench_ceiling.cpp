#include "apps/commands/bench/bench_ceiling.hpp"

#include <nlohmann/json.hpp>

#include "apps/program/version.hpp"
#include "core/kernels/ceiling.hpp"
#include "core/kernels/instruction_set.hpp"

namespace granule {
namespace {

nlohmann::ordered_json rates_of(ThreadPool& pool, DType dtype, double clock, double seconds) {
  nlohmann::ordered_json by_chains;
  RateOfPieces rate;
  for (const std::int64_t chains : kFmaChains) {
    rate = fma_rate(pool, dtype, chains, seconds);
    by_chains[std::to_string(chains)] = 1e-9 * rate.best;
  }
  const auto lanes = static_cast<double>(vector_lanes(dtype));
  return {{"lanes", vector_lanes(dtype)},
          {"gflops_by_chains", by_chains},
          {"fma_ceiling_gflops", 1e-9 * rate.best},
          {"sustained_gflops", 1e-9 * rate.mean},
          {"fmas_per_cycle", 1e-9 * rate.best / (2.0 * lanes * clock * pool.size())}};
}

}  // namespace

nlohmann::ordered_json bench_ceiling(int threads, double seconds) {
  ThreadPool pool(threads);
  const double clock = clock_ghz(pool, seconds);
  nlohmann::ordered_json result{
      {"threads", threads}, {"instruction_set", cpu_target()}, {"clock_ghz", clock}};
  result["f32"] = rates_of(pool, DType::f32, clock, seconds);
  result["f64"] = rates_of(pool, DType::f64, clock, seconds);
  if (bf16_units() != Bf16Units::none) result["bf16"] = rates_of(pool, DType::bf16, clock, seconds);
  result["stream_gbps"] = stream_gbps(pool, seconds);
  result["read_gbps"] = read_gbps(pool, seconds);
  return result;
}

}  // namespace granule
