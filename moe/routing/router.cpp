#include "moe/routing/router.hpp"

#include "core/transfer.hpp"
#include "moe/ops/count_choices.hpp"
#include "moe/ops/limit_capacity.hpp"
#include "moe/ops/score_entropy.hpp"
#include "moe/ops/valid_tokens.hpp"
#include "moe/routing/hash_router.hpp"
#include "moe/routing/selection.hpp"
#include "moe/routing/top_k_router.hpp"

namespace granule {
namespace {

void tell(const Pass& pass, std::int64_t layer, std::int64_t experts, const Tensor& id_NK,
          const Tensor& sent_NK, const Tensor& affinity_NE) {
  const PhaseTimer timer(pass.context.profile(), "router statistics");
  RoutingNote note{.layer = layer,
                   .count_E = count_choices(id_NK, experts, 1, pass.valid_N).view({experts}),
                   .dropped_E = count_dropped(id_NK, sent_NK, experts, pass.valid_N),
                   .tokens = count_valid(pass.valid_N, id_NK.shape()[0]),
                   .score_NE = affinity_NE};
  if (affinity_NE.defined())
    note.entropy = read_back<double>(score_entropy(affinity_NE, pass.valid_N)).get()[0];
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
