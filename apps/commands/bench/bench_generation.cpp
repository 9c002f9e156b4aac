#include "apps/commands/bench/bench_generation.hpp"

#include <nlohmann/json.hpp>

#include "apps/commands/bench/bench_rates.hpp"
#include "apps/generation/decoder.hpp"
#include "apps/planning/step_time.hpp"
#include "core/kernels/ceiling.hpp"
#include "core/random.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

std::vector<std::int32_t> random_tokens(const RunConfig& config, std::int64_t count) {
  const RandomStream random(1, "bench");
  const auto vocabulary = static_cast<std::uint64_t>(config.model.vocab_size);
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<std::int32_t>(random.below(vocabulary, static_cast<std::uint64_t>(i))));
  return tokens;
}

/// Multiply-adds bound the prompt, and reading the weights bounds the tokens after it.
MachineRates rates_of(ThreadPool& pool, DType dtype) {
  return {fma_ceiling_gflops(pool, dtype), read_gbps(pool)};
}

/// Seconds of the prompt, and of each token after it.
struct Seconds {
  std::vector<double> prompt{}, token{};
};
Seconds time_generation(Context& context, const Model& model, std::span<const std::int32_t> tokens,
                        const GenerationBench& options) {
  Decoder decoder(context, model, options.prompt + options.tokens);
  Seconds seconds;
  for (std::int64_t i = -1; i < options.repeats;
       ++i) {  // the first time compiles products and touches memory
    decoder.forget();
    const double prompt = seconds_of(context, [&] {
      static_cast<void>(decoder.feed(tokens.first(static_cast<std::size_t>(options.prompt))));
    });
    if (i >= 0) seconds.prompt.push_back(prompt);
    for (const std::int32_t token : tokens.subspan(static_cast<std::size_t>(options.prompt))) {
      const double one = seconds_of(context, [&] { static_cast<void>(decoder.feed({&token, 1})); });
      if (i >= 0) seconds.token.push_back(one);
    }
  }
  return seconds;
}

}  // namespace

double decode_bytes(const RunConfig& config, std::int64_t length) {
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  // A token reads one row of the embedding. A head that is tied to it reads all of it.
  const std::int64_t weights = counts.activated() - (counts.head > 0 ? counts.embedding : 0);
  const std::int64_t cached = 2 * config.model.kv_width() * config.model.num_hidden_layers * length;
  return static_cast<double>(size_of(config.train.dtype)) * static_cast<double>(weights + cached);
}

nlohmann::ordered_json bench_generation(const RunConfig& config, int threads,
                                        const GenerationBench& options) {
  Context context({.threads = threads});
  const DType dtype = config.train.dtype;
  Model model(context, config.model, config.moe, Precision(dtype), Gradients::no);
  model.parameters().initialise(0, config.model.initializer_range);
  const auto tokens = random_tokens(config, options.prompt + options.tokens);
  const MachineRates before = rates_of(context.pool(), dtype);
  const Seconds seconds = time_generation(context, model, tokens, options);
  const auto [gflops, gbps] = better_of(before, rates_of(context.pool(), dtype));
  const double prompt = median(seconds.prompt), token = median(seconds.token);
  const double prompt_gflops = prompt_operations(config, options.prompt) / prompt / 1e9,
               token_gbps = decode_bytes(config, options.prompt + options.tokens / 2) / token / 1e9;
  return {{"fma_ceiling_gflops", gflops},
          {"read_gbps", gbps},
          {"threads", threads},
          {"prefill",
           {{"tokens", options.prompt},
            {"seconds", prompt},
            {"tokens_per_second", static_cast<double>(options.prompt) / prompt},
            {"gflops", prompt_gflops},
            {"share_of_ceiling", prompt_gflops / gflops}}},
          {"decode",
           {{"tokens", options.tokens},
            {"seconds", token},
            {"tokens_per_second", 1.0 / token},
            {"gbps", token_gbps},
            {"share_of_reads", token_gbps / gbps}}}};
}

}  // namespace granule
