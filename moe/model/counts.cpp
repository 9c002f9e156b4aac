#include "moe/model/counts.hpp"

#include <initializer_list>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr double kLargest = 9007199254740992.0;  // 2^53: up to here a double counts exactly

// A product that is checked for overflow, because sizes come from files.
std::int64_t product(std::initializer_list<std::int64_t> factors) {
  double estimate = 1.0;
  for (const std::int64_t factor : factors) estimate *= static_cast<double>(factor);
  if (estimate > kLargest) {
    user_error(fmt::format("the model has about {:.1e} parameters", estimate), "model and moe keys",
               "2^53 is the most that can be counted");
  }
  std::int64_t result = 1;
  for (const std::int64_t factor : factors) result *= factor;
  return result;
}

std::int64_t attention_matrices(const ModelConfig& model) {
  return model.num_hidden_layers * product({model.hidden_size, 2 * model.hidden_size + 2 * model.kv_width()});
}

}  // namespace

ParameterCounts count_parameters(const ModelConfig& model, const MoeConfig& moe) {
  const std::int64_t hidden = model.hidden_size;
  const std::int64_t layers = model.num_hidden_layers;
  const std::int64_t sparse = moe.count_moe_layers(layers);
  ParameterCounts counts;
  counts.embedding = product({model.vocab_size, hidden});
  counts.head = model.tie_word_embeddings ? 0 : counts.embedding;
  counts.attention = attention_matrices(model);
  if (model.attention_bias) counts.attention += layers * (2 * hidden + 2 * model.kv_width());
  counts.norms = product({2 * layers + 1, hidden});
  counts.dense_ffn = product({layers - sparse, 3, hidden, model.intermediate_size});
  counts.shared_experts = product({sparse, 3, hidden, moe.n_shared_experts, moe.moe_intermediate_size});
  counts.router = moe.router == RouterKind::hash ? 0 : product({sparse, moe.n_routed_experts, hidden});
  counts.routed_experts = product({sparse, 3, hidden, moe.n_routed_experts, moe.moe_intermediate_size});
  counts.routed_activated = product({sparse, 3, hidden, moe.num_experts_per_tok, moe.moe_intermediate_size});
  return counts;
}

double training_flops(const ModelConfig& model, const MoeConfig& moe, std::int64_t tokens,
                      std::int64_t seq_len) {
  const ParameterCounts counts = count_parameters(model, moe);
  const std::int64_t multiplied = counts.embedding  // as many as the head has, whether it is tied or not
                                  + attention_matrices(model) + counts.dense_ffn + counts.shared_experts +
                                  counts.router + counts.routed_activated;
  const auto real_tokens = static_cast<double>(tokens);
  const double attention = 12.0 * static_cast<double>(model.num_hidden_layers) * real_tokens *
                           static_cast<double>(seq_len) * static_cast<double>(model.hidden_size);
  return 6.0 * static_cast<double>(multiplied) * real_tokens + attention;
}

double model_flops_utilisation(double flops, double seconds, double peak_flops) {
  GRANULE_CHECK(seconds > 0.0 && peak_flops > 0.0, "utilisation: {} s at {} FLOP/s", seconds, peak_flops);
  return flops / seconds / peak_flops;
}

}  // namespace granule
