#include "moe/routing/router.hpp"

#include "moe/ops/count_choices.hpp"
#include "moe/ops/limit_capacity.hpp"
#include "moe/ops/score_entropy.hpp"
#include "moe/routing/hash_router.hpp"
#include "moe/routing/selection.hpp"
#include "moe/routing/top_k_router.hpp"

namespace granule {
namespace {

void report(RoutingObserver& observer, const Pass& pass, std::int64_t layer, std::int64_t experts,
            const Tensor& id_NK, const Tensor& sent_NK, const Tensor& affinity_NE) {
  const PhaseTimer timer(pass.context.profile(), "router_note.forward");
  RoutingNote note{.layer = layer,
                   .count_E = count_choices(id_NK, experts, 1, pass.valid_N).view({experts}),
                   .dropped_E = count_dropped(id_NK, sent_NK, experts, pass.valid_N),
                   .tokens = pass.tokens(),
                   .score_NE = affinity_NE};
  if (affinity_NE.defined()) note.entropy = score_entropy(affinity_NE, pass.valid_N);
  observer.on_routing(note);
}

}  // namespace

RowOrder order_and_report(const Pass& pass, const MoeConfig& moe, std::int64_t layer, const Choice& choice,
                          const Tensor& affinity_NE) {
  const RoutingPass routing = routing_of(pass);
  const std::int64_t experts = moe.n_routed_experts;
  const bool limited = routing.capacity == Capacity::limited && moe.capacity_factor > 0.0;
  const Sent sent = limited || pass.valid_N.defined() ? Sent::some : Sent::all;
  const std::int64_t capacity = limited ? expert_capacity(moe, pass.tokens()) : pass.tokens();
  Tensor sent_NK = choice.id_NK;
  if (sent == Sent::some)
    sent_NK = within_capacity(choice.id_NK, affinity_NE, experts, capacity, pass.valid_N);
  RowOrder order = choice.count_E.empty()
                       ? sort_by_expert(sent_NK, experts, sent)
                       : sort_by_expert(sent_NK, rows_within_capacity(choice.count_E, capacity));
  if (routing.observer != nullptr)
    report(*routing.observer, pass, layer, experts, choice.id_NK, sent_NK, affinity_NE);
  return order;
}

void report_choice(const Pass& pass, const ChoiceNote& note) {
  ChoiceObserver* const observer = routing_of(pass).choices;
  if (observer != nullptr) observer->on_choice(note);
}

Router make_router(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                   const ModelConfig& model, const MoeConfig& moe, Routing routing) {
  if (moe.router == RouterKind::hash) return HashRouter(layer, moe, routing);
  return TopKRouter(store, prefix, layer, model, moe, routing);
}

}  // namespace granule
