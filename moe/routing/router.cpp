#include "moe/routing/router.hpp"

#include "moe/routing/hash_router.hpp"
#include "moe/routing/score_entropy.hpp"
#include "moe/routing/selection.hpp"
#include "moe/routing/top_k_router.hpp"
#include "moe/routing/valid_tokens.hpp"

namespace granule {
namespace {

/// int64 [experts]: how many choices of each expert were not carried out. Padding does not count.
Tensor count_dropped(const Tensor& id_NK, const Tensor& sent_NK, std::int64_t experts,
                     const Tensor& valid_N) {
  const std::int64_t n = id_NK.shape()[0], k = id_NK.shape()[1];
  const Tensor dropped_E = Tensor::zeros(id_NK.context(), {experts}, DType::i64);
  for (std::int64_t i = 0; i < n * k; ++i) {
    if (sent_NK.data<const std::int32_t>()[i] < 0 && is_valid(valid_N, i / k))
      ++dropped_E.data<std::int64_t>()[id_NK.data<const std::int32_t>()[i]];
  }
  return dropped_E;
}

void tell(const Pass& pass, std::int64_t layer, std::int64_t experts, const Tensor& id_NK,
          const Tensor& sent_NK, const Tensor& affinity_NE) {
  const PhaseTimer timer(pass.context.profile(), "router statistics");
  RoutingNote note{.layer = layer,
                   .count_E = count_choices(id_NK, experts, 1, pass.valid_N).view({experts}),
                   .dropped_E = count_dropped(id_NK, sent_NK, experts, pass.valid_N),
                   .tokens = count_valid(pass.valid_N, id_NK.shape()[0]),
                   .score_NE = affinity_NE};
  if (affinity_NE.defined()) note.entropy = score_entropy(affinity_NE, pass.valid_N);
  pass.routing->on_routing(note);
}

}  // namespace

Tensor carry_out(const Pass& pass, const MoeConfig& moe, std::int64_t layer, const Tensor& id_NK,
                 const Tensor& affinity_NE) {
  const bool limited = pass.capacity == Capacity::limited && moe.capacity_factor > 0.0;
  const std::int64_t tokens = count_valid(pass.valid_N, id_NK.shape()[0]);
  const Tensor sent = limited || pass.valid_N.defined()
                          ? within_capacity(id_NK, affinity_NE, moe.n_routed_experts,
                                            limited ? expert_capacity(moe, tokens) : tokens, pass.valid_N)
                          : id_NK;
  if (pass.routing != nullptr) tell(pass, layer, moe.n_routed_experts, id_NK, sent, affinity_NE);
  return sent;
}

Router make_router(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                   const ModelConfig& model, const MoeConfig& moe) {
  if (moe.router == RouterKind::hash) return HashRouter(layer, moe);
  return TopKRouter(store, prefix, layer, model, moe);
}

}  // namespace granule
