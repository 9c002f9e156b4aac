// `granule bench generation`: reading a prompt and continuing it, compared with the least time that this
// machine could take. A prompt is bound by multiply-adds, and the tokens after it by reading weights.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"

namespace granule {

struct GenerationBench {
  std::int64_t prompt = 512, tokens = 64;  ///< how many are read at once, and then one after the other
  std::int64_t repeats = 5;
};

/// The bytes that a token after `length` others must read: the weights that it uses, and the keys and values
/// of the tokens before it.
[[nodiscard]] double decode_bytes(const RunConfig& config, std::int64_t length);

///   {fma_ceiling_gflops, read_gbps, threads,
///    prefill: {tokens, seconds (median), tokens_per_second, gflops, share_of_ceiling},
///    decode: {tokens, seconds (median of one), tokens_per_second, gbps, share_of_reads}}
/// The weights are random, and so are the tokens of the prompt. The model runs on the CPU.
[[nodiscard]] nlohmann::ordered_json bench_generation(const RunConfig& config, int threads,
                                                      const GenerationBench& options);

}  // namespace granule
